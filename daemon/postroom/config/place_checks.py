"""The third pass over journal and console: is the place there, and who else can come to it?"""

from __future__ import annotations

import ipaddress
import os
from importlib.util import find_spec
from pathlib import Path

from postroom.config.places import LOOPBACK
from postroom.config.problems import Findings, Id
from postroom.config.sections import File
from postroom.config.shape import Shaped
from postroom.config.wording import shown


def check_places(shaped: Shaped[File], directory: Path, findings: Findings) -> None:
    """Report what keeps the journal from being opened, and a console that others can reach."""
    if not findings.touched(("journal",)):
        _check_journal(shaped, directory, findings)
    if shaped.model.console is not None and not findings.touched(("console",)):
        _check_console(shaped, findings)


def _check_journal(shaped: Shaped[File], directory: Path, findings: Findings) -> None:
    scheme, _, file = shaped.model.journal.partition(":///")
    place = shaped.node("journal").place
    if scheme == "sqlite":
        database = directory / file.partition("?")[0]
        parent = database.parent
        # The file's own directory is there. One that may not be looked into may be: the daemon's user can tell.
        if parent != directory and _is_missing(parent):
            text = f"the directory {parent} of the journal is not there; make it before `postroom run`"
            findings.add(Id.NO_JOURNAL_DIRECTORY, place, text)
        elif (closed := _closed(parent, database)) is not None:
            text = f"{closed} may not be written to here; make it writable for the user that `postroom run` works as"
            findings.add(Id.NO_JOURNAL_DIRECTORY, place, text)
    elif find_spec("psycopg") is None:
        text = 'the driver psycopg is not installed; run `pip install "psycopg[binary]"`, or write sqlite:///FILE'
        findings.add(Id.NO_JOURNAL_DRIVER, place, text)


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _closed(directory: Path, database: Path) -> Path | None:
    """Return which of them may be read and not written to; of what may not be looked into nothing can be told."""
    for path in (directory, database):
        if not os.access(path, os.R_OK):
            return None
        if not os.access(path, os.W_OK):
            return path
    return None


def _check_console(shaped: Shaped[File], findings: Findings) -> None:
    assert shaped.model.console is not None, "asked before"
    host = shaped.model.console.listen.rpartition(":")[0].strip("[]")
    if not _is_loopback(host):
        at = shaped.node("console", "listen")
        text = (
            f"other machines can reach {shown(at)}, and the console asks for no password; write 127.0.0.1:8642 unless "
            "something in front of it does"
        )
        findings.add(Id.OPEN_CONSOLE, at.place, text)


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
