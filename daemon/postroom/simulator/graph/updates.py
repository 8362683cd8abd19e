"""What PATCH may change in a message: some properties always, others only in a draft (LEARN message-update)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_input import check_names, draft_parts, wrong
from postroom.simulator.state import Address, Mailbox, StoredMessage, compose, take_apart

_DRAFT_ONLY = frozenset({
    "subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "replyTo", "internetMessageId",
})  # fmt: skip
_FLAG_STATES = {"notflagged": "notFlagged", "complete": "complete", "flagged": "flagged"}
_FLAG_TIMES = frozenset({"startDateTime", "dueDateTime", "completedDateTime"})
_READ_ONLY_IGNORED = frozenset({"internetMessageHeaders", "attachments"})


def update(mailbox: Mailbox, message: StoredMessage, body: Mapping[str, Any]) -> None:
    """Change a message as a PATCH body says: all of it or, raising GraphFault, nothing."""
    check_names(body)
    refused = next((name for name in body if name in _DRAFT_ONLY and not message.is_draft), None)
    if refused is not None:
        raise bad_request(
            f"The property '{refused}' can be updated only while the message is a draft.", "ErrorInvalidPropertySet"
        )
    parts = draft_parts({name: value for name, value in body.items() if name not in _READ_ONLY_IGNORED})
    for name in ("sent_from", "sender"):
        if name in parts:
            check_own(mailbox, parts[name])
    changes = plain_changes(message, body)
    if message.is_draft and parts:
        draft = take_apart(mailbox.contents, message, mailbox.contents.envelope(message))
        mailbox.rewrite(message, compose(replace(draft, **parts)))
    mailbox.update(message, **changes)


def check_own(mailbox: Mailbox, address: Address) -> None:
    """Refuse to write in another's name."""
    if address.address.lower() != mailbox.address:
        raise GraphFault(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on behalf of "
            "the specified sending account.",
        )


def plain_changes(message: StoredMessage, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes to set for properties that any message lets change."""
    changes = {_ATTRIBUTES[name]: _READERS[name](name, body[name]) for name in _READERS if name in body}
    overrides = {name: _OVERRIDES[name](name, body[name]) for name in _OVERRIDES if name in body}
    return changes | ({"overrides": {**message.overrides, **overrides}} if overrides else {})


def _flag_of_truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(name)
    return value


def _categories(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong(name)
    return tuple(value)


def _importance(name: str, value: Any) -> str:
    if str(value).lower() not in ("low", "normal", "high"):
        raise wrong(name)
    return str(value).lower()


def _flag(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() - _FLAG_TIMES - {"flagStatus"}:
        raise wrong(name)
    status = _FLAG_STATES.get(str(value.get("flagStatus", "flagged")).lower())
    if status is None:
        raise wrong(name)
    return {"flagStatus": status, **{key: value[key] for key in _FLAG_TIMES & value.keys()}}


def _classification(name: str, value: Any) -> str:
    if value not in ("focused", "other"):
        raise wrong(name)
    return str(value)


_ATTRIBUTES = {"isRead": "is_read", "categories": "categories", "importance": "importance", "flag": "flag"}
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "isRead": _flag_of_truth,
    "categories": _categories,
    "importance": _importance,
    "flag": _flag,
}
_OVERRIDES: dict[str, Callable[[str, Any], Any]] = {
    "inferenceClassification": _classification,
    "isDeliveryReceiptRequested": _flag_of_truth,
    "isReadReceiptRequested": _flag_of_truth,
}
