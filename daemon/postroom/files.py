"""Files named by strangers: safe names, and writes that appear whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LONGEST_NAME = 200
"""Bytes of a file name we make; file systems allow 255, and room is left for ``(2)`` and the temporary suffix."""

_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]+')


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that is there now. `new` is False when the same content was there already."""

    path: Path
    size: int
    new: bool


def safe_name(name: str, fallback: str = "unnamed") -> str:
    """Turn a stranger's file name into one that stays in its directory on every file system.

    Path separators, control and direction-changing characters become ``_``; leading dots, device names and excess
    length go; the extension is kept.
    """
    cleaned = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    cleaned = cleaned.encode("utf-8", "replace").decode()
    if not cleaned.strip("_ "):
        cleaned = fallback
    if _RESERVED.match(cleaned):
        cleaned = f"_{cleaned}"
    stem, dot, suffix = cleaned.rpartition(".")
    suffix = f"{dot}{suffix}" if stem and len(suffix.encode()) <= 20 else ""  # noqa: PLR2004 - longer is no extension
    stem = cleaned[: len(cleaned) - len(suffix)] if suffix else cleaned
    room = LONGEST_NAME - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + suffix


async def save_once(directory: Path, name: str, pieces: AsyncIterator[bytes]) -> Saved:
    """Write `pieces` to `directory` under a safe form of `name`; see `Attachment.save_to` for what repeats do."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    handle, path = await asyncio.to_thread(tempfile.mkstemp, ".part", ".postroom-", directory)
    temporary = Path(path)
    try:
        digest, size = hashlib.sha256(), 0
        with os.fdopen(handle, "wb") as file:
            async for piece in pieces:
                digest.update(piece)
                size += len(piece)
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(_finish, file)
        return await asyncio.to_thread(_place, temporary, directory, safe_name(name), digest.digest(), size)
    finally:
        await asyncio.to_thread(temporary.unlink, missing_ok=True)


def _finish(file: IO[bytes]) -> None:
    file.flush()
    os.fchmod(file.fileno(), 0o640)
    os.fsync(file.fileno())


def _place(temporary: Path, directory: Path, name: str, digest: bytes, size: int) -> Saved:
    """Link the finished file to the first name that is free or already holds the same content."""
    for candidate in _candidates(name):
        path = directory / candidate
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
            _sync_directory(directory)
            return Saved(path, size, new=True)
        if _same_content(path, digest, size):
            return Saved(path, size, new=False)
    raise AssertionError("unreachable: the names are endless")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _candidates(name: str) -> Iterator[str]:
    yield name
    path = Path(name)
    number = 2
    while True:
        yield f"{path.stem} ({number}){path.suffix}"
        number += 1


def _same_content(path: Path, digest: bytes, size: int) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == digest
