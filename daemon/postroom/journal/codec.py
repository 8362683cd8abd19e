"""Nouns <-> what the tables hold: JSON text, microseconds, and text that every database takes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from postroom.errors import JournalError
from postroom.model import Categorise, Delete, Flag, Forward, MailAction, MarkRead, Message, MoveTo, Reply, Send

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

LONGEST_ERROR: Final = 4_000
"""Characters kept of an error or a note: a handler, or who writes to it, decides how long they are."""
LONGEST_LABEL: Final = 500
"""Characters of subject, sender and ids kept for listings; the snapshot has them whole."""
_LONGEST_LETTER: Final = 60_000
"""Characters of a text to send: more than there may be."""
_SHORT: Final = 1_000
"""Characters of recorded mail actions that are worth keeping decoded."""

_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into
_decode_plain = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_message = msgspec.json.Decoder(Message).decode


def micros(at: datetime) -> int:
    """Return an aware time as microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def moment(at: int) -> datetime:
    """Return microseconds since 1970 as an aware time in UTC."""
    return EPOCH + at * MICROSECOND


def moment_or_none(at: int | None) -> datetime | None:
    """Return microseconds since 1970 as an aware time in UTC, and nothing for nothing."""
    return None if at is None else moment(at)


def clean(text: str, longest: int = LONGEST_ERROR) -> str:
    """Return `text` as every database takes it: no NUL (PostgreSQL), no lone surrogate (UTF-8), not endless."""
    if len(text) > longest:
        text = text[:longest]
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def encode_message(message: Message, room: bytearray) -> tuple[bytes, Message]:
    """Return the snapshot as JSON, and the message as it will be read from it.

    Lone surrogates, which a stranger can send, become question marks. `room` is to write in: with the same for many
    messages there is enough after the first.
    """
    try:
        _encode_into(message, room)
        return bytes(room), message
    except UnicodeEncodeError:
        snapshot = _encode(_without_surrogates(msgspec.to_builtins(message)))
        return snapshot, decode_message(snapshot)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    return value


def decode_message(snapshot: bytes | str) -> Message:
    """Return the message; raises JournalError when the snapshot is not one."""
    try:
        return _decode_message(snapshot)
    except msgspec.MsgspecError as error:
        raise JournalError(f"A stored message cannot be read: {error}.") from error


def encode_rules(rules: Mapping[str, tuple[str, ...]]) -> str:
    """Return rule name -> handlers as JSON, in the order of the rules."""
    return _encode(rules).decode()


@functools.lru_cache(maxsize=4096)
def decode_rules(rules: str) -> Mapping[str, tuple[str, ...]]:
    """Return rule name -> handlers. Cached: most messages match what another one matched."""
    return msgspec.json.decode(rules, type=dict[str, tuple[str, ...]])


def encode_settled(settled: Mapping[str, str]) -> str:
    """Return handler or origin -> state as JSON: what remains of a message that was pruned."""
    return _encode(settled).decode()


@functools.lru_cache(maxsize=1024)
def decode_settled(settled: str) -> Mapping[str, str]:
    """Return handler or origin -> state. Cached: what was settled of most messages is alike."""
    return msgspec.json.decode(settled, type=dict[str, str])


def encode_actions(actions: tuple[MailAction, ...]) -> str:
    """Return mail actions as JSON in the words of the configuration: ``[{"move_to": "Done"}, {"mark_read": true}]``."""
    if any(isinstance(action, Reply | Forward | Send) for action in actions):
        return _encoded(actions)  # each may have a long text of its own: not to be kept
    return _encoded_once(actions)


def _encoded(actions: tuple[MailAction, ...]) -> str:
    return _encode([_plain(action) for action in actions]).decode()


_encoded_once = functools.lru_cache(maxsize=4096)(_encoded)


def _plain(action: MailAction) -> dict[str, Any]:  # noqa: PLR0911 - a table
    match action:
        case MarkRead(read):
            return {"mark_read": read}
        case MoveTo(folder):
            return {"move_to": clean(folder)}
        case Categorise(categories):
            return {"categories": [clean(category) for category in categories]}
        case Flag(status):
            return {"flag": clean(status)}
        case Delete():
            return {"delete": True}
        case Reply(text, subject, to_all):
            return {"reply": {"text": clean(text, _LONGEST_LETTER), "subject": clean(subject), "to_all": to_all}}
        case Forward(to, comment):
            return {"forward": {"to": list(to), "comment": clean(comment, _LONGEST_LETTER)}}
        case Send(to, subject, text, cc):
            text = clean(text, _LONGEST_LETTER)
            return {"send": {"to": list(to), "subject": clean(subject), "text": text, "cc": list(cc)}}


def decode_actions(actions: str) -> tuple[MailAction, ...]:
    """Return the mail actions; raises JournalError for what is damaged, or unknown to this program."""
    return _decoded_once(actions) if len(actions) <= _SHORT else _decoded(actions)


def _decoded(actions: str) -> tuple[MailAction, ...]:
    try:
        return tuple(_action(kind, value) for item in _decode_plain(actions) for kind, value in item.items())
    except msgspec.MsgspecError as error:
        raise JournalError(f"Recorded mail actions cannot be read: {error}.") from error


_decoded_once = functools.lru_cache(maxsize=4096)(_decoded)


def action_kinds(actions: str) -> tuple[str, ...]:
    """Return the kinds of recorded mail actions, such as ``move_to``, also of those this program does not know.

    Where they are damaged there is one: ``unreadable``.
    """
    try:
        return tuple(kind for item in _decode_plain(actions) for kind in item)
    except msgspec.MsgspecError:
        return ("unreadable",)


def _action(kind: str, value: Any) -> MailAction:  # noqa: PLR0911 - a table
    match kind:
        case "mark_read":
            return MarkRead(msgspec.convert(value, bool))
        case "move_to":
            return MoveTo(msgspec.convert(value, str))
        case "categories":
            return Categorise(msgspec.convert(value, tuple[str, ...]))
        case "flag":
            return Flag(msgspec.convert(value, str))
        case "delete":
            return Delete()
        case "reply":
            return msgspec.convert(value, Reply)
        case "forward":
            return msgspec.convert(value, Forward)
        case "send":
            return msgspec.convert(value, Send)
    raise JournalError(
        f"The journal holds a mail action {kind!r} that this program does not know.",
        remedy="Run the version of Postroom that recorded it, or a newer one.",
    )
