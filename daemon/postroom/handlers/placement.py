"""Directories and file names made from what a mail says, without leaving the place the operator chose."""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from postroom.plugin import HandlerError, Message, TemporaryError, make_directory, safe_name

LONGEST_VALUE = 80
"""Bytes of a placeholder's value: several fit into one name of 255 bytes."""

PLACEHOLDERS: dict[str, Callable[[Message], str]] = {
    "mailbox": lambda message: message.mailbox,
    "folder": lambda message: message.folder,
    "date": lambda message: f"{message.received_at.astimezone(UTC):%Y-%m-%d}",
    "year": lambda message: f"{message.received_at.astimezone(UTC):%Y}",
    "month": lambda message: f"{message.received_at.astimezone(UTC):%m}",
    "day": lambda message: f"{message.received_at.astimezone(UTC):%d}",
    "sender": lambda message: message.sender.address,
    "sender_domain": lambda message: message.sender.address.rpartition("@")[2],
    "subject": lambda message: message.subject,
}
"""What may stand in braces in a directory, with the value it takes; times are UTC."""

_FOR_GOOD = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}
)
"""Why a directory cannot be made however often that is tried: its path is wrong, or whose it is."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_placeholders(directory: Path) -> Path:
    """Return `directory` unchanged; raises ValueError when it has a placeholder that is not in `PLACEHOLDERS`."""
    for name in _PLACEHOLDER.findall(str(directory)):
        if name not in PLACEHOLDERS:
            near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(PLACEHOLDERS)}"
            raise ValueError(f"{{{name}}} is no placeholder ({hint})")
    return directory


Directory = Annotated[Path, AfterValidator(check_placeholders)]
"""An option that names a directory and may hold placeholders such as ``{mailbox}``."""


def directory_for(template: Path, message: Message) -> Path:
    """Fill the placeholders; whatever the mail says, each value stays within its own path component."""
    return Path(*(_PLACEHOLDER.sub(lambda match: _value(match[1], message), part) for part in template.parts))


def short_name(text: str, fallback: str) -> str:
    """Make `text` a safe piece of a file name of at most `LONGEST_VALUE` bytes."""
    return safe_name(text, fallback).encode()[:LONGEST_VALUE].decode("utf-8", "ignore").rstrip(" .")


def make_fixed_part(template: Path) -> None:
    """Make the part of the directory that is the same for every mail.

    Raises HandlerError when that cannot be done, TemporaryError when it may be later, as on a disk that is full now.
    """
    fixed = _fixed_part(template)
    try:
        make_directory(fixed)
    except OSError as error:
        raise (HandlerError if error.errno in _FOR_GOOD else TemporaryError)(
            f"Cannot make the directory {fixed}: {error.strerror}.",
            remedy="Make it and let the daemon's user write to it, or set `directory` to one that it may write to.",
        ) from error


def missing_directory(template: Path) -> Mapping[str, str]:
    """Say for `Handler.missing` what keeps `make_fixed_part` from its work, as far as a look can tell."""
    fixed = _fixed_part(template)
    there = next(path for path in (fixed, *fixed.parents) if os.path.exists(path))  # noqa: PTH110 - it raises nothing
    if there != fixed and there.is_dir() and not os.access(there, os.X_OK):
        return {}  # what is in it the daemon's user can tell
    if not there.is_dir():
        why = f"{there} is no directory"
    elif not _is_writable(there):
        why = f"{there} may not be written to"
    else:
        return {}
    return {"directory": why if there == fixed else f"the directory {fixed} cannot be made, for {why}"}


def _is_writable(directory: Path) -> bool:
    """Say whether one may write to it; where not even its owner may, as in /proc, root need not try either."""
    anybody = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    return bool(directory.stat().st_mode & anybody) and os.access(directory, os.W_OK | os.X_OK)


def _fixed_part(template: Path) -> Path:
    fixed = Path(template.anchor)
    for part in template.relative_to(fixed).parts:
        if _PLACEHOLDER.search(part):
            break
        fixed /= part
    return fixed


def _value(name: str, message: Message) -> str:
    if name not in PLACEHOLDERS:  # the configuration's own directory, put in front, may have braces in its name
        return f"{{{name}}}"
    return short_name(PLACEHOLDERS[name](message), f"no {name}")
