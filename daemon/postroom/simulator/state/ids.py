"""Ids in the form Exchange gives them: long, url-safe, case-sensitive, and meaning nothing to the client.

An id holds the numbers it stands for, so that a million messages need no index from text to message. A default
message id names the message, its folder and the moment it entered it: any move makes another. An immutable id names
the message alone (LEARN outlook-immutable-id).
"""

from __future__ import annotations

import struct
import uuid
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import NamedTuple

from postroom.simulator.state.errors import ForeignId, MalformedId

_ALTERNATIVES = b"_-"
_DEFAULT = bytes.fromhex("00032400")
_IMMUTABLE = bytes.fromhex("0009002E00000000001D840311AA6611CD9BC800AA002FC45A0D00")
_MESSAGE_TAIL = struct.Struct(">QQQH")
_FOLDER_TAIL = struct.Struct(">QHB")
_IMMUTABLE_TAIL = struct.Struct(">QI")
_MESSAGE_LENGTH = 152
_FOLDER_LENGTH = 120


def encode(raw: bytes) -> str:
    """Write bytes in the alphabet of Exchange ids."""
    return b64encode(raw, _ALTERNATIVES).decode("ascii")


def decode(text: str) -> bytes:
    """Read what `encode` wrote; raises MalformedId for anything it would not have written."""
    try:
        raw = b64decode(text.encode("ascii"), _ALTERNATIVES, validate=True)
    except ValueError:
        raise MalformedId("Id is malformed.") from None
    if encode(raw) != text:
        raise MalformedId("Id is malformed.")
    return raw


class MessageRef(NamedTuple):
    """What a message id stands for; an immutable id has no folder and no moment of entry."""

    item: int
    folder: int | None = None
    entered: int | None = None


class Ids:
    """Makes and reads the ids of one mailbox. Prefixes are whole groups of three bytes, encoded once."""

    __slots__ = ("_folder", "_immutable", "_message")

    def __init__(self, mailbox_id: str) -> None:
        name = str(uuid.UUID(mailbox_id)).encode("ascii")
        filler = blake2b(name, digest_size=47).digest()
        self._message = encode(_DEFAULT + name + filler)
        self._folder = encode(_DEFAULT + name + filler[:38])
        self._immutable = encode(_IMMUTABLE + name + filler[:39])

    def folder(self, number: int) -> str:
        """Write a folder id; folders have constant ids."""
        return self._folder + encode(_FOLDER_TAIL.pack(number, 0, 0))

    def message(self, folder: int, item: int, entered: int) -> str:
        """Write a default message id."""
        return self._message + encode(_MESSAGE_TAIL.pack(folder, item, entered, 0))

    def immutable(self, item: int) -> str:
        """Write an immutable message id."""
        return self._immutable + encode(_IMMUTABLE_TAIL.pack(item, 0))

    def read_folder(self, text: str) -> int:
        """Return a folder's number; raises MalformedId or ForeignId."""
        if len(text) != _FOLDER_LENGTH or not text.startswith(self._folder):
            raise _not_ours(text)
        number: int = _FOLDER_TAIL.unpack(decode(text[len(self._folder) :]))[0]
        return number

    def read_message(self, text: str) -> MessageRef:
        """Return what a message id of either kind stands for; raises MalformedId or ForeignId."""
        if len(text) == _MESSAGE_LENGTH and text.startswith(self._message):
            folder, item, entered, _ = _MESSAGE_TAIL.unpack(decode(text[len(self._message) :]))
            return MessageRef(item, folder, entered)
        if len(text) == _MESSAGE_LENGTH and text.startswith(self._immutable):
            return MessageRef(_IMMUTABLE_TAIL.unpack(decode(text[len(self._immutable) :]))[0])
        raise _not_ours(text)


def attachment_id(message_id: str, index: int) -> str:
    """Write the id of a message's attachment; like the message id it is built on, it may change with a move."""
    return message_id.rstrip("=") + encode(
        b"\x00\x11\x20\x01" + blake2b(bytes([index % 256, index // 256]), digest_size=17).digest()
    )


def change_key(store: str, seq: int) -> str:
    """Write a change key: another one after every change."""
    return encode(
        b"\x09\x00\x00\x00\x16\x00\x00\x00" + blake2b(store.encode(), digest_size=16).digest() + struct.pack(">Q", seq)
    )


def _not_ours(text: str) -> MalformedId | ForeignId:
    """Tell an id of another mailbox from text that is no id at all."""
    if len(text) not in (_MESSAGE_LENGTH, _FOLDER_LENGTH):
        return MalformedId("Id is malformed.")
    try:
        decode(text)
    except MalformedId as malformed:
        return malformed
    return ForeignId("Item Id doesn't belong to the current mailbox.")
