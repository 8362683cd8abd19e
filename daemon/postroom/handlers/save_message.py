"""`save_message`: whole mails into a directory or a Maildir."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Literal

from postroom.handlers.placement import Directory, directory_for, make_fixed_part, missing_directory, short_name
from postroom.plugin import (
    Context,
    Done,
    Handler,
    Message,
    Options,
    Outcome,
    TemporaryError,
    make_directory,
    save_once,
    sync_directory,
)


class SaveMessageOptions(Options):
    """Where mails go, and in which form."""

    directory: Directory
    """Where the mails go; made if missing. May hold placeholders such as `{mailbox}` and `{date}`."""

    format: Literal["eml", "maildir"] = "eml"
    """`eml`: a file named after date and subject for each mail. `maildir`: `directory` is a Maildir."""


class SaveMessage(Handler[SaveMessageOptions]):
    """Save the whole mail as an .eml file or into a Maildir."""

    async def open(self) -> None:
        """Make the directory, as far as it is the same for every mail."""
        await asyncio.to_thread(make_fixed_part, self.options.directory)

    def missing(self) -> Mapping[str, str]:
        """Look whether the directory can be made, or written to."""
        return missing_directory(self.options.directory)

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Save one mail; a repeat finds it by the delivery's key, since Exchange may word the MIME anew each time."""
        directory = directory_for(self.options.directory, message)
        key = hashlib.sha256(context.idempotency_key.encode()).hexdigest()
        try:
            if self.options.format == "maildir":
                return await _save_to_maildir(directory, message, key, context)
            return await _save_as_eml(directory, message, key, context)
        except OSError as error:
            raise TemporaryError(
                f"Cannot write to {self.options.directory}: {error.strerror or type(error).__name__}.",
                remedy="Check that the disk has room and that the daemon's user may write there.",
            ) from error


async def _save_as_eml(directory: Path, message: Message, key: str, context: Context) -> Outcome:
    received = f"{message.received_at.astimezone(UTC):%Y-%m-%d %H%M%S}"
    name = f"{received} {short_name(message.subject, 'no subject')} {key[:12]}.eml"
    if await asyncio.to_thread(_is_saved, directory / name):
        return Done(note=f"{name} was there already")
    await asyncio.to_thread(_free, directory / name)
    async with context.mime() as source:
        saved = await save_once(directory, name, _pieces(source))
    return Done(note=saved.path.name)


def _is_saved(path: Path) -> bool:
    """Say whether `path` is a file with content; what is empty, or a link, is not the mail.

    Its bytes are not compared: the name has the delivery's key in it, and a repeat's MIME may be worded anew.
    """
    return path.is_file() and not path.is_symlink() and path.stat().st_size > 0


def _free(path: Path) -> None:
    """Remove an empty file: the name has the delivery's key in it, so it is what a killed `save_once` reserved."""
    if path.is_file() and not path.is_symlink() and path.stat().st_size == 0:
        path.unlink()


async def _save_to_maildir(directory: Path, message: Message, key: str, context: Context) -> Outcome:
    name = f"{int(message.received_at.timestamp())}.{key[:32]}.postroom"
    if await asyncio.to_thread(_is_in_maildir, directory, name):
        return Done(note=f"{name} was there already")
    async with context.mime() as source:
        await asyncio.to_thread(_deliver, source, directory, name)
    return Done(note=name)


def _is_in_maildir(maildir: Path, name: str) -> bool:
    """Look in ``new``, and in ``cur`` where a reader adds flags to the name."""
    if _is_saved(maildir / "new" / name):
        return True
    return any(path.name.partition(":")[0] == name and _is_saved(path) for path in (maildir / "cur").glob("*"))


def _deliver(source: Path, maildir: Path, name: str) -> None:
    """Write to ``tmp``, then move to ``new``: a reader sees the mail whole or not at all."""
    for part in ("tmp", "new", "cur"):
        make_directory(maildir / part)
    temporary = maildir / "tmp" / f"{name}.{secrets.token_hex(4)}"
    try:
        with source.open("rb") as mime, temporary.open("wb") as copy:
            shutil.copyfileobj(mime, copy)
            copy.flush()
            os.fsync(copy.fileno())
        temporary.rename(maildir / "new" / name)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(maildir / "new")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, 1 << 20):
            yield piece
