"""`save_attachments`: files out of mails into a directory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import ByteSize, field_validator

from postroom.handlers.placement import Directory, directory_for, make_fixed_part, missing_directory
from postroom.plugin import (
    Attachment,
    Context,
    Done,
    Handler,
    Message,
    Options,
    Outcome,
    Reject,
    Saved,
    Skip,
    TemporaryError,
    safe_name,
    save_once,
)

_SEVERAL = re.compile(r"\*\.\w+\s*[,;|]\s*\*?\.")
_ENDING = re.compile(r"\.\w+|pdf|xml|docx?|xlsx?|csv|zip|txt|eml|jpe?g|png", re.IGNORECASE)
"""A name's ending alone: nobody calls a file ``pdf``, and one called ``.pdf`` is found by ``*.pdf`` too."""

MOST_LINES = 10
"""Lines logged of attachments of one mail that are left out: a stranger decides how many there are."""


class SaveAttachmentsOptions(Options):
    """Which attachments go where."""

    directory: Directory
    """Where the files go; made if missing. May hold placeholders such as `{mailbox}` and `{date}`."""

    pattern: str | list[str] = "*"
    """Which file names are saved: a glob such as `"*.pdf"`, or a list of them; upper and lower case are one."""

    max_size: ByteSize = ByteSize(150_000_000)
    """Largest attachment to save, such as `25MB`."""

    too_large: Literal["reject", "skip"] = "reject"
    """What a larger one means: `reject` makes the mail a dead letter, `skip` saves the others and logs a warning."""

    inline: bool = False
    """Also save pictures that are shown inside the text."""

    @field_validator("pattern")
    @classmethod
    def _can_fit_a_file_name(cls, pattern: str | list[str]) -> str | list[str]:
        for glob in [pattern] if isinstance(pattern, str) else pattern:
            if (hint := _hint(glob)) is not None:
                raise ValueError(f"{glob!r} fits no file name: {hint}")
        return pattern


def _hint(glob: str) -> str | None:
    """Say what was probably meant by a glob that fits no file name; None for one that may fit."""
    if _SEVERAL.search(glob):
        return 'write several as a list, such as ["*.pdf", "*.xml"]'
    if "/" in glob or "\\" in glob:
        return "write a glob over the bare name, such as *.pdf; it is neither a path nor a regular expression"
    if _ENDING.fullmatch(glob):
        return f"write *.{glob.lstrip('.')} for every name that ends so"
    return None if glob.strip() else "write * for every name"


class TooLarge(Exception):
    """An attachment is larger than the option `max_size` allows."""


class SaveAttachments(Handler[SaveAttachmentsOptions]):
    """Save a mail's attachments to a directory."""

    async def open(self) -> None:
        """Make the directory, as far as it is the same for every mail."""
        await asyncio.to_thread(make_fixed_part, self.options.directory)

    def missing(self) -> Mapping[str, str]:
        """Look whether the directory can be made, or written to."""
        return missing_directory(self.options.directory)

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Save those of one mail. What is there already with the same content is left as it is."""
        offered = [file async for file in context.attachments(inline=self.options.inline) if self._fits(file)]
        wanted = [file for file in offered if file.size <= self.options.max_size]
        large = [file for file in offered if file.size > self.options.max_size]
        if large and self.options.too_large == "reject":
            return self._rejected(large[0])
        directory = directory_for(self.options.directory, message)
        saved: list[Saved] = []
        for file in wanted:
            try:
                saved.append(await self._save(file, directory))
            except TooLarge:
                if self.options.too_large == "reject":
                    return self._rejected(file)
                large.append(file)
        self._log_skipped(large, context)
        return _summary(saved, len(large))

    def _log_skipped(self, files: list[Attachment], context: Context) -> None:
        """Log what stays in the mail alone, for nothing else will ever tell of it."""
        for file in files[:MOST_LINES]:
            context.log.warning(
                "attachment_skipped",
                name=safe_name(file.name),
                size=file.size,
                reason=f"larger than {self._limit()} (option max_size)",
                left_out=len(files),
            )

    def _limit(self) -> str:
        return self.options.max_size.human_readable(decimal=True)

    def _fits(self, file: Attachment) -> bool:
        patterns = [self.options.pattern] if isinstance(self.options.pattern, str) else self.options.pattern
        name = (f"{file.name}.eml" if file.kind == "item" else file.name).casefold()
        return any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)

    def _rejected(self, file: Attachment) -> Reject:
        return Reject(f"The attachment {safe_name(file.name)!r} is larger than {self._limit()} (option max_size).")

    async def _save(self, file: Attachment, directory: Path) -> Saved:
        try:
            async with aclosing(file.stream()) as content:
                return await self._save_content(file, content, directory)
        except OSError as error:
            raise TemporaryError(
                f"Cannot write to {self.options.directory}: {error.strerror or type(error).__name__}.",
                remedy="Check that the disk has room and that the daemon's user may write there.",
            ) from error

    async def _save_content(self, file: Attachment, content: AsyncGenerator[bytes, None], directory: Path) -> Saved:
        name, pieces = file.name, _at_most(content, self.options.max_size)
        if file.kind == "item":
            first = await anext(pieces, b"")
            name, pieces = f"{name}{_item_suffix(first)}", _joined(first, pieces)
        return await save_once(directory, name, pieces)


def _summary(saved: list[Saved], large: int) -> Outcome:
    skipped = f"{large} too large" if large else ""
    if not saved:
        return Skip(skipped or "no attachment fits")
    repeated = sum(not one.new for one in saved)
    parts = [f"{len(saved)} saved", f"{repeated} of them already there" if repeated else "", skipped]
    return Done(note=", ".join(filter(None, parts)))


def _item_suffix(first: bytes) -> str:
    """Tell a mail, an appointment and a contact apart by how they begin (attachment-get docs: MIME, iCal, vCard)."""
    start = first.lstrip(b"\xef\xbb\xbf \r\n")[:15].upper()
    return ".ics" if start == b"BEGIN:VCALENDAR" else ".vcf" if start.startswith(b"BEGIN:VCARD") else ".eml"


async def _at_most(pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    total = 0
    async for piece in pieces:
        total += len(piece)
        if total > limit:
            raise TooLarge
        yield piece


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
