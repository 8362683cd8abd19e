"""Puts a mail into the name of the mailbox it is sent from."""

from __future__ import annotations

from postroom.simulator.state.compose import address_field
from postroom.simulator.state.headers import first, header_end, read_addresses, read_fields
from postroom.simulator.state.message import Address

_LONGEST = 256 * 1024


def in_name_of(raw: bytes, own: Address) -> bytes:
    """Return a mail whose From is `own`; one that says so already, or says nothing, keeps every byte."""
    end = header_end(raw)
    said = read_addresses(first(read_fields(raw[: min(end, _LONGEST)]), "from"))
    if not said or said[0].address.lower() == own.address.lower():
        return raw
    kept = without_fields(raw[:end], (b"from", b"sender"))
    return f"From: {address_field(own)}\r\n".encode() + kept + raw[end:]


def without_fields(head: bytes, names: tuple[bytes, ...]) -> bytes:
    """Return a header block without some fields, every other byte as it was."""
    kept: list[bytes] = []
    dropping = False
    for line in head.splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):
            dropping = line.partition(b":")[0].strip().lower() in names
        if not dropping:
            kept.append(line)
    return b"".join(kept)
