"""Files named by strangers: safe names, and writes that appear whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

LONGEST_NAME = 200
"""Bytes of a file name we make; file systems allow 255, and room is left for what `save_once` may add."""

NUMBERED = 100
"""Up to here other content under the same name is numbered; a stranger could make us search for ever otherwise."""

_PIECE = 256 * 1024
_LONGEST_SUFFIX = 20
_RESERVED = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])\s*(\..*)?$", re.IGNORECASE)
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*'
    r"\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+"  # they change direction or cannot be seen
)
_EDGES = re.compile(r"^[\s.]+|[\s.]+$")
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS}
_OPEN_FILES = Path("/proc/self/fd")
_PLACING = threading.Lock()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that is there now. `new` is False when the same content was there already."""

    path: Path
    size: int
    new: bool


def safe_name(name: str, fallback: str = "unnamed") -> str:
    """Turn a stranger's file name into one that stays in its directory on every file system.

    Path separators, control, invisible and direction-changing characters become ``_``, and so does a leading ``-`` or
    ``~``; outer dots and spaces and excess length go; device names get a ``_``; the extension is kept. At most
    `LONGEST_NAME` bytes; `fallback` (made safe as well) stands in where nothing is left.
    """
    cleaned = _clean(name) or _clean(fallback) or "unnamed"
    stem, suffix = _split(cleaned)
    room = LONGEST_NAME - len(suffix.encode())
    return _EDGES.sub("", stem.encode()[:room].decode("utf-8", "ignore")) + suffix


def _clean(name: str) -> str:
    text = name.encode("utf-8", "replace").decode()  # lone surrogates cannot be written
    text = _EDGES.sub("", _UNSAFE.sub("_", unicodedata.normalize("NFC", text)))
    if text.startswith(("-", "~")):
        text = f"_{text[1:]}"
    if not text.strip("_ ."):
        return ""
    return f"_{text}" if _RESERVED.match(text) else text


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem.strip(" .") and len(suffix.encode()) < _LONGEST_SUFFIX else (name, "")


async def save_once(directory: Path, name: str, pieces: AsyncIterator[bytes]) -> Saved:
    """Write `pieces` to `directory` (made if missing) under a safe form of `name`, durably.

    The file appears whole or not at all. When it is there already with the same content, that one is the result; when
    the name holds other content, ``name (2)`` to ``name (100)`` are used, then a name with a part of the content's
    hash. So a repeat makes no second copy. Raises OSError. Where the file system has no files without a name (FAT,
    NFS), a kill may leave a ``.postroom-*.part`` file behind.
    """
    unfinished = _Unfinished(directory)
    try:
        await _in_thread(unfinished.open)
        async for piece in pieces:
            await _in_thread(unfinished.write, piece)
        return await _in_thread(unfinished.place, safe_name(name))
    finally:
        await _in_thread(unfinished.discard)


async def _in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run `work` in a thread and wait for it even when cancelled: it must not go on behind our back."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # fetched, so that asyncio does not complain; being cancelled is what counts
        raise


class _Unfinished:
    """A file being written, without a name where that can be, or under one that nobody looks at. Blocking."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / f".postroom-{secrets.token_hex(8)}.part"
        self.file: IO[bytes] | None = None
        self.size = 0

    def open(self) -> None:
        make_directory(self.directory)
        descriptor = _open_nameless(self.directory)
        if descriptor is None:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        else:
            self.path = _OPEN_FILES / str(descriptor)
        self.file = os.fdopen(descriptor, "wb")

    def write(self, piece: bytes) -> None:
        assert self.file is not None
        self.file.write(piece)
        self.size += len(piece)

    def place(self, name: str) -> Saved:
        """Give the finished file the first name that is free or already holds the same content."""
        assert self.file is not None
        self.file.flush()
        os.fsync(self.file.fileno())
        for candidate in _candidates(name, self.path):
            path = self.directory / candidate
            new = _claim(self.path, path)
            if new or _same_content(self.path, path):
                sync_directory(self.directory)  # for one found too: whoever placed it may have died before this
                return Saved(path, self.size, new=new)
        raise FileExistsError(errno.EEXIST, "every name for this content is taken by other content", name)

    def discard(self) -> None:
        """Let go of the file and its temporary name."""
        if self.file is not None:
            with contextlib.suppress(OSError):  # a full disk once more: `write` or `place` has said so
                self.file.close()
            if self.path.parent != _OPEN_FILES:
                self.path.unlink(missing_ok=True)


def _open_nameless(directory: Path) -> int | None:
    """Open a file that a kill takes with it (open(2), O_TMPFILE); None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        descriptor = os.open(directory, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        return None
    if (_OPEN_FILES / str(descriptor)).exists():
        return descriptor
    os.close(descriptor)  # without /proc there is no way to give it a name
    return None


def _link(temporary: Path, path: Path) -> None:
    """Give the file a further name; raises FileExistsError. One without a name is followed to through /proc."""
    if temporary.parent != _OPEN_FILES:
        os.link(temporary, path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(temporary, path.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def _claim(temporary: Path, path: Path, link: Callable[[Path, Path], None] = _link) -> bool:
    """Make `path` the finished file unless it exists; False when it does."""
    try:
        link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS or temporary.parent == _OPEN_FILES:
            raise
        return _claim_without_links(temporary, path)
    return True


def _claim_without_links(temporary: Path, path: Path) -> bool:
    """Look whether the name is free, then move the file there: for FAT, some network shares and the like.

    One at a time in this process. An empty file that reserved the name would outlive a kill.
    """
    with _PLACING:
        if os.path.lexists(path):
            return False
        temporary.rename(path)
        return True


def make_directory(directory: Path) -> None:
    """Make `directory` with its parents where missing, each of them durable. Blocking; raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which names `directory` holds. Blocking; raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _candidates(name: str, content: Path) -> Iterator[str]:
    stem, suffix = _split(name)
    yield name
    for number in range(2, NUMBERED + 1):
        yield f"{stem} ({number}){suffix}"
    with content.open("rb") as file:
        yield f"{stem} ({hashlib.file_digest(file, 'sha256').hexdigest()[:16]}){suffix}"


def _same_content(left: Path, right: Path) -> bool:
    try:
        if not right.is_file() or left.stat().st_size != right.stat().st_size:
            return False
        with left.open("rb") as one, right.open("rb") as other:
            while piece := one.read(_PIECE):
                if piece != other.read(_PIECE):
                    return False
            return not other.read(1)
    except FileNotFoundError:
        return False  # taken away at this moment: as good as other content, the next name will do
