"""Directories and file names made from what a mail says, without leaving the place the operator chose."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from postroom.plugin import HandlerError, Message, make_directory, safe_name

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
    """Make the part of the directory that is the same for every mail; raises HandlerError when that cannot be done."""
    fixed = Path(template.anchor)
    for part in template.relative_to(fixed).parts:
        if _PLACEHOLDER.search(part):
            break
        fixed /= part
    try:
        make_directory(fixed)
    except OSError as error:
        raise HandlerError(
            f"Cannot make the directory {fixed}: {error.strerror}.",
            remedy="Make it and let the daemon's user write to it, or set `directory` to one that it may write to.",
        ) from error


def _value(name: str, message: Message) -> str:
    if name not in PLACEHOLDERS:  # the configuration's own directory, put in front, may have braces in its name
        return f"{{{name}}}"
    return short_name(PLACEHOLDERS[name](message), f"no {name}")
