"""``translateExchangeIds``: ids of messages from one form into another (LEARN outlook-immutable-id)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import as_fault, bad_request
from postroom.simulator.state import Mailbox, StateError, StoredMessage

MOST_IDS = 1000
_SAFE = str.maketrans("/+", "-_")
_UNSAFE = str.maketrans("-_", "/+")
_FORMS: dict[str, Callable[[Mailbox, StoredMessage], str]] = {
    "restid": lambda mailbox, message: mailbox.default_id(message),
    "restimmutableentryid": lambda mailbox, message: mailbox.immutable_id(message),
    "ewsid": lambda mailbox, message: mailbox.default_id(message).translate(_UNSAFE),
    "entryid": lambda mailbox, message: mailbox.default_id(message),
    "immutableentryid": lambda mailbox, message: mailbox.immutable_id(message),
}
"""The binary forms differ from the others in reality; here they are the same text."""


async def _translate(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    body = await call.json()
    found = {name[:1].lower() + name[1:]: value for name, value in body.items()}
    ids = found.get("inputIds")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise bad_request("inputIds must be a list of ids.", "ErrorInvalidArgument")
    if len(ids) > MOST_IDS:
        raise bad_request(f"At most {MOST_IDS} ids can be translated at once.", "ErrorInvalidArgument")
    _form(found.get("sourceIdType"))
    write = _form(found.get("targetIdType"))
    context = f"{call.base}/$metadata#Collection(microsoft.graph.convertIdResult)"
    return call.answer({"@odata.context": context, "value": [_result(mailbox, one, write) for one in ids]})


def _form(name: object) -> Callable[[Mailbox, StoredMessage], str]:
    form = _FORMS.get(name.lower()) if isinstance(name, str) else None
    if form is None:
        raise bad_request(f"The id type '{str(name)[:50]}' is not known.", "ErrorInvalidArgument")
    return form


def _result(mailbox: Mailbox, source: str, write: Callable[[Mailbox, StoredMessage], str]) -> dict[str, Any]:
    """Translate one id; what is wrong with one is no fault of the others."""
    try:
        return {"sourceId": source, "targetId": write(mailbox, mailbox.message(source.translate(_SAFE)))}
    except StateError as error:
        fault = as_fault(error)
        return {"sourceId": source, "errorDetails": {"code": fault.code, "message": fault.message}}


OPERATIONS: Operations = {("POST", "users/*/translateexchangeids"): Operation(_translate, READ_BASIC)}
