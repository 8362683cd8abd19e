"""Fills the simulated mailboxes from a directory of .eml files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST_FILE = 150 * 1024 * 1024
"""Bytes; a bigger file is reported and left out, as Exchange Online would not have delivered it either."""


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What became of the files: how many mails were delivered, and which files were not, with the reason."""

    delivered: int
    problems: tuple[str, ...]


async def seed(directory: Path, mailboxes: Sequence[str], deliver: Callable[[str, bytes], object]) -> SeedReport:
    """Deliver every .eml file under `directory`, in the order of their names.

    A file in a subfolder named after a mailbox (its address, or the part before the @) goes there, any other to the
    first mailbox. Files that cannot be read or delivered are reported, not fatal.

    Args:
        directory: Where the files are; raises NotADirectoryError when it is none.
        mailboxes: Addresses, at least one.
        deliver: Puts raw MIME into a mailbox's inbox.
    """
    delivered, problems = 0, []
    for path in await asyncio.to_thread(lambda: list(_mail_files(directory))):
        try:
            deliver(mailbox_for(path.relative_to(directory), mailboxes), await asyncio.to_thread(_read, path))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error.strerror if isinstance(error, OSError) and error.strerror else error}")
        else:
            delivered += 1
    return SeedReport(delivered, tuple(problems))


def mailbox_for(relative: Path, mailboxes: Sequence[str]) -> str:
    """Return the mailbox a file belongs to, by the first folder of its path that is named after one."""
    names = {address.lower(): address for address in reversed(mailboxes)}
    names.update({address.partition("@")[0].lower(): address for address in reversed(mailboxes)})
    return next((names[part.lower()] for part in relative.parts[:-1] if part.lower() in names), mailboxes[0])


def _mail_files(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory")
    yield from sorted(path for path in directory.rglob("*") if path.suffix.lower() == ".eml")


def _read(path: Path) -> bytes:
    """Read a mail, at most one byte more than allowed: a named pipe or a device is no mail either."""
    if not path.is_file():
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    return raw
