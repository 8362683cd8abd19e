"""The tokens in delta links: a cursor as opaque, signed text."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from postroom.simulator.state.cursor import RESUMABLE_GENERATIONS, Cursor
from postroom.simulator.state.errors import MalformedId, SyncReset, SyncStateInvalid, SyncStateNotFound
from postroom.simulator.state.ids import decode, encode
from postroom.simulator.state.nuisance import Nuisance
from postroom.simulator.state.tracked import Tracked

if TYPE_CHECKING:
    from postroom.simulator.state.mailbox import Mailbox

_SIGNATURE = 8
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Cursor)


def write_token(mailbox: Mailbox, cursor: Cursor) -> str:
    """Write a cursor as opaque text."""
    data = _ENCODER.encode(cursor)
    return encode(_sign(mailbox, data) + data).rstrip("=")


def read_token(mailbox: Mailbox, tracked: Tracked, token: str, nuisance: Nuisance | None = None) -> Cursor:
    """Read a cursor back; raises SyncStateInvalid, SyncStateNotFound or SyncReset."""
    try:
        raw = decode(token + "=" * (-len(token) % 4))
        cursor = _DECODER.decode(raw[_SIGNATURE:])
    except (MalformedId, msgspec.DecodeError):
        raise SyncStateInvalid("The sync state token is invalid.") from None
    if raw[:_SIGNATURE] != _sign(mailbox, raw[_SIGNATURE:]) or cursor.folder != tracked.number:
        raise SyncStateInvalid("The sync state token is invalid.")
    if nuisance is not None:
        _lose(mailbox, tracked, cursor, nuisance)
    _check_alive(tracked, cursor)
    return cursor


def _lose(mailbox: Mailbox, tracked: Tracked, cursor: Cursor, nuisance: Nuisance) -> None:
    """Lose what the link refers to, where the small print says so today."""
    if nuisance.strike("forget", mailbox.address):
        tracked.chains.pop(cursor.chain, None)
    if nuisance.strike("reset", mailbox.address):
        tracked.reset()


def _check_alive(tracked: Tracked, cursor: Cursor) -> None:
    """Refuse a cursor of before a reset, of a forgotten chain, or left behind by its own chain."""
    if cursor.epoch != tracked.epoch:
        raise SyncReset("Resync required: the sync state was reset.", cursor.query)
    highest = tracked.chains.get(cursor.chain, -1)
    if cursor.generation > highest - RESUMABLE_GENERATIONS and highest >= 0:
        return
    kept = [highest, *range(max(highest - RESUMABLE_GENERATIONS + 1, 0), highest)] if highest >= 0 else []
    listed = "".join(f"[{generation}]" for generation in kept)
    raise SyncStateNotFound(
        f"The sync state generation is not found; generation={cursor.generation};[highest={max(highest, 0)}]{listed}."
    )


def _sign(mailbox: Mailbox, data: bytes) -> bytes:
    return blake2b(data, digest_size=_SIGNATURE, key=mailbox.id.encode("ascii")).digest()
