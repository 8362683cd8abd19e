"""The disk under the mailboxes: an append-only file of records, so that no mail body stays in memory."""

from __future__ import annotations

import os
import struct
import weakref
from pathlib import Path

_LENGTH = struct.Struct(">Q")
_HEAD = 4096


class Spool:
    """Append-only store of byte records; a record is known by the offset `put` returned.

    The file is started anew: the state it belongs to lives in memory and ends with the process.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._end = 0
        self.close = weakref.finalize(self, os.close, self._handle)

    def put(self, record: bytes) -> int:
        """Append a record and return where it is. Raises OSError when the disk is full."""
        at, data = self._end, memoryview(_LENGTH.pack(len(record)) + record)
        while data:
            written = os.pwrite(self._handle, data, self._end)
            self._end, data = self._end + written, data[written:]
        return at

    def get(self, at: int) -> bytes:
        """Return a whole record; most fit into the first read."""
        head = os.pread(self._handle, _HEAD, at)
        (length,) = _LENGTH.unpack_from(head)
        have = head[_LENGTH.size : _LENGTH.size + length]
        return have if len(have) == length else have + self._read(at + _HEAD, length - len(have))

    def slice(self, at: int, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` of a record."""
        return self._read(at + _LENGTH.size + start, end - start)

    def _read(self, at: int, size: int) -> bytes:
        """Read exactly `size` bytes: one call may return less than asked for."""
        pieces: list[bytes] = []
        while size > 0:
            piece = os.pread(self._handle, size, at)
            if not piece:
                raise OSError(f"the spool ends {size} bytes early: the file was changed under the simulator")
            pieces.append(piece)
            at, size = at + len(piece), size - len(piece)
        return b"".join(pieces)
