"""What PATCH may change in a message: some properties always, others only in a draft (LEARN message-update)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from postroom.simulator.graph.extended import MULTIPLE, SINGLE, read_extended
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_input import check_known, check_names, draft_parts, items, wrong
from postroom.simulator.state import NOT_FLAGGED, NOTHING, Address, Draft, Mailbox, StoredMessage, take_apart, write

_DRAFT_ONLY = frozenset({
    "subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "replyTo", "internetMessageId",
    SINGLE, MULTIPLE,
})  # fmt: skip
_FLAG_STATES = {"notflagged": "notFlagged", "complete": "complete", "flagged": "flagged"}
_FLAG_TIMES = frozenset({"startDateTime", "dueDateTime", "completedDateTime"})


def update(mailbox: Mailbox, message: StoredMessage, body: Mapping[str, Any]) -> None:
    """Change a message as a PATCH body says: all of it or, raising GraphFault, nothing."""
    check_names(body)
    refused = next((name for name in body if name in _DRAFT_ONLY and not message.is_draft), None)
    if refused is not None:
        raise bad_request(
            f"The property '{refused}' can be updated only while the message is a draft.", "ErrorInvalidPropertySet"
        )
    parts = draft_parts({name: value for name, value in body.items() if name != "internetMessageHeaders"})
    for name in ("sent_from", "sender"):
        if name in parts:
            check_own(mailbox, parts[name])
    changes = plain_changes(body, message.overrides, message.extended)
    if message.is_draft and parts:
        rewrite(mailbox, message, replace(apart(mailbox, message), **parts), **changes)
    else:
        mailbox.update(message, **changes)


def apart(mailbox: Mailbox, message: StoredMessage) -> Draft:
    """Return the parts of a message as it is now."""
    draft = take_apart(mailbox.contents.mail(message), message.importance)
    return draft if draft.sent else replace(draft, sent=message.created)


def rewrite(mailbox: Mailbox, message: StoredMessage, draft: Draft, **changes: Any) -> None:
    """Give a message the parts of a draft, and other attributes with them."""
    written = write(draft)
    mailbox.rewrite(message, written.raw, written.envelope, **changes)


def check_own(mailbox: Mailbox, address: Address) -> None:
    """Refuse to write in another's name."""
    if address.address.lower() != mailbox.address:
        raise GraphFault(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on behalf of "
            "the specified sending account.",
        )


def plain_changes(
    body: Mapping[str, Any], overridden: Mapping[str, Any] = NOTHING, known: Mapping[str, Any] = NOTHING
) -> dict[str, Any]:
    """Return the attributes to set for properties that any message lets change, and for extended ones.

    Args:
        body: The JSON of a message.
        overridden: What the message overrides so far.
        known: The extended properties it has so far.
    """
    changes = {_ATTRIBUTES[name]: read(name, body[name]) for name, read in _READERS.items() if name in body}
    overrides = {name: read(name, body[name]) for name, read in _OVERRIDES.items() if name in body}
    extended = {key: value for name in (SINGLE, MULTIPLE) if name in body for key, value in _extended(name, body)}
    if overrides:
        changes["overrides"] = {**overridden, **overrides}
    if extended:
        changes["extended"] = {**known, **extended}
    return {name: value for name, value in changes.items() if value is not None}


def _extended(name: str, body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(read_extended(name, body[name]).items())


def _flag_of_truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(name)
    return value


def _categories(name: str, value: Any) -> tuple[str, ...]:
    found = items(name, value)
    if not all(isinstance(one, str) for one in found):
        raise wrong(name)
    return tuple(found)


def _importance(name: str, value: Any) -> str | None:
    if value is not None and str(value).lower() not in ("low", "normal", "high"):
        raise wrong(name)
    return None if value is None else str(value).lower()


def _flag(name: str, value: Any) -> Mapping[str, Any]:
    """Read a follow-up flag; its times need the flag to be set (resources/followupflag.md)."""
    if value is None:
        return NOT_FLAGGED
    if not isinstance(value, dict):
        raise wrong(name)
    check_known(value, _FLAG_TIMES | {"flagStatus"}, "followupFlag")
    status = _FLAG_STATES.get(str(value.get("flagStatus", "flagged")).lower())
    times = {key: _moment(name, value[key]) for key in sorted(_FLAG_TIMES & value.keys()) if value[key] is not None}
    if status is None:
        raise wrong(name)
    if "dueDateTime" in times and "startDateTime" not in times:
        raise bad_request("A due date of a flag needs a start date.", "ErrorInvalidArgument")
    return {"flagStatus": status, **(times if status != "notFlagged" else {})}


def _moment(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not isinstance(value.get("dateTime"), str):
        raise wrong(name)
    check_known(value, frozenset({"dateTime", "timeZone"}), "dateTimeTimeZone")
    zone = value.get("timeZone", "UTC")
    if not isinstance(zone, str):
        raise wrong(name)
    return {"dateTime": value["dateTime"], "timeZone": zone}


def _classification(name: str, value: Any) -> str:
    if str(value).lower() not in ("focused", "other"):
        raise wrong(name)
    return str(value).lower()


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
