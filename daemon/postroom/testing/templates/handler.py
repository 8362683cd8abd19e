"""A handler for Postroom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from postroom.plugin import Context, Done, Handler, Message, Options, Outcome, Skip, save_once


class ExampleOptions(Options):
    """What stands under `with:` in the configuration."""

    directory: Path
    """Where the notes go."""

    sender_domain: str = ""
    """Only mails from this domain, such as `supplier.example`; from everybody when empty."""


class Example(Handler[ExampleOptions]):
    """Write a note about each mail to a directory."""

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Handle one mail. It may come again after a crash: `save_once` then finds the note and makes no second one."""
        if self.options.sender_domain and not message.sender.address.endswith(f"@{self.options.sender_domain}"):
            return Skip("another sender")
        lines = [f"{message.received_at:%Y-%m-%d %H:%M} {message.sender}: {message.subject}"]
        lines += [f"- {file.name} ({file.size} bytes)" async for file in context.attachments()]
        saved = await save_once(self.options.directory, f"{message.subject}.txt", _pieces(lines))
        context.log.info("note_written", file=str(saved.path))
        return Done(note=saved.path.name)


async def _pieces(lines: list[str]) -> AsyncIterator[bytes]:
    for line in lines:
        yield f"{line}\n".encode()
