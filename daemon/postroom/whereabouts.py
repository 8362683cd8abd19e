"""Where the console of a running daemon really is: a note beside its journal, for who asks from outside.

The configuration may say otherwise: a port that the system chooses, or a change that a reload has refused.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


def note(journal: str, url: str) -> None:
    """Leave a note beside a SQLite journal (a URL with an absolute path) that this process's console is at `url`."""
    if (file := _file(journal)) is not None:
        # Who finds no note asks where the configuration says: a disk that is full shall not keep a daemon from working.
        with contextlib.suppress(OSError):
            _replace(file, f"{os.getpid()} {url}\n")


def clear(journal: str) -> None:
    """Take away whatever note is there: for who holds the journal's lock, so that any note is of a dead process."""
    if (file := _file(journal)) is not None:
        with contextlib.suppress(OSError):  # one that stays is only asked first
            file.unlink()


def forget(journal: str) -> None:
    """Take this process's note away."""
    if (file := _file(journal)) is not None and _noted(file).process == os.getpid():
        clear(journal)


class Console(NamedTuple):
    """Where the console of a living process is."""

    process: int
    url: str


def console_of(journal: str) -> Console | None:
    """Return the console of the daemon that runs on this journal; None where no living one has noted it."""
    file = _file(journal)
    noted = _noted(file) if file is not None else Console(0, "")
    return noted if noted.process and _lives(noted.process) else None


def _file(journal: str) -> Path | None:
    scheme, _, path = journal.partition(":///")
    if not scheme.startswith("sqlite") or not path:
        return None
    database = Path(os.path.realpath(path.partition("?")[0]))  # beside the file itself, as its lock
    return database.with_name(f"{database.name}.console")


def _replace(file: Path, text: str) -> None:
    """Write a file so that nobody reads a part of it."""
    new = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(text)
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _noted(file: Path) -> Console:
    """Return the process and the URL; 0 and nothing where the file has not both of them whole."""
    try:
        process, _, url = file.read_text("ascii").strip().partition(" ")
        is_whole = process.isdecimal() and url.startswith("http://") and urlsplit(url).port
        return Console(int(process), url) if is_whole else Console(0, "")
    except (OSError, ValueError):
        return Console(0, "")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # of another user
    return True
