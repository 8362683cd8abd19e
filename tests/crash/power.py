"""A power cut, done to the files of a SQLite journal whose daemon is dead: what was not on the disk is gone.

With ``synchronous = NORMAL`` SQLite syncs the write-ahead log before a checkpoint copies from it, and not at a commit.
So any frame behind the last one that a checkpoint has tried to copy may be missing, and of the first missing one a part
may be there. Where that is stands in the shared memory file, which survives the process, though not the power.
The offsets are those of https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from random import Random

RECENT = 200
"""Frames at the end that a system may not have written by itself yet."""

HEADER, FRAME_HEADER = 32, 24
_PAGE_SIZE_AT = 8
_LAST_FRAME_AT, _ATTEMPTED_AT = 16, 128


def cut(database: Path, chance: Random, *, whole: bool = False) -> int:
    """Lose the tail of the write-ahead log and the shared memory; returns how many frames were lost.

    Args:
        whole: All that may be lost is lost; otherwise some of what is recent, and of one frame a part stays.
    """
    log, shared = companion(database, "wal"), companion(database, "shm")
    lost = 0
    if log.exists() and shared.exists() and log.stat().st_size > HEADER:
        last, attempted = _frames(shared)
        if not last:
            return 0  # killed while it was being opened: what is on the disk cannot be told
        kept = attempted if whole else chance.randint(max(attempted, last - RECENT), last)
        lost = last - kept
        _truncate(log, kept, 0 if whole else chance.random())
    shared.unlink(missing_ok=True)
    return lost


def companion(database: Path, kind: str) -> Path:
    """Return the path of the file beside the database: ``wal`` or ``shm``."""
    return database.with_name(f"{database.name}-{kind}")


def _frames(shared: Path) -> tuple[int, int]:
    """Return the number of the last valid frame, and of the last one that is certainly on the disk."""
    index = shared.read_bytes()[: _ATTEMPTED_AT + 4]
    (last,) = struct.unpack_from("=I", index, _LAST_FRAME_AT)
    (attempted,) = struct.unpack_from("=I", index, _ATTEMPTED_AT)
    return last, min(attempted, last)


def _truncate(log: Path, frames: int, part: float) -> None:
    """Keep the first frames and a part of the next; a log of which nothing is left is no file."""
    if frames == 0 and part == 0:
        log.unlink()
        return
    (page,) = struct.unpack_from(">I", log.read_bytes()[:HEADER], _PAGE_SIZE_AT)
    size = HEADER + frames * (FRAME_HEADER + page) + int(part * (FRAME_HEADER + page))
    os.truncate(log, min(size, log.stat().st_size))
