"""Handlers that keep books of their own: each run is a line on the disk before the handler says that it is done."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from postroom.plugin import Context, Done, Handler, Message, Options, Outcome, Retry

LIFE = "CRASH_LIFE"
"""Environment variable with the number of the life of the daemon."""


OUTAGE = "outage"
"""File beside the ledger; while it is there, what a handler needs is down."""


TOO_EARLY = 3
"""Attempts after which the handler that is late is done."""


END = " ."
"""What a line ends with that was written whole."""


class LedgerOptions(Options):
    """Where the ledger is."""

    file: Path


class Ledger(Handler[LedgerOptions]):
    """Note each run."""

    async def open(self):
        self.life = os.environ[LIFE]
        self.line = os.open(self.options.file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    async def close(self):
        os.close(self.line)

    def note(self, context: Context, answer: str) -> None:
        """Add a line and see it on the disk; a kill may cut it short, which then spoils no other."""
        os.write(self.line, f"\n{self.life} {context.attempt} {answer} {context.idempotency_key}{END}".encode())
        os.fdatasync(self.line)

    async def handle(self, message: Message, context: Context) -> Outcome | None:
        self.note(context, "done")
        return None


class Flaky(Ledger):
    """Note each run, in a thread, and ask for another one now and then, or always while a file says so."""

    def handle(self, message: Message, context: Context) -> Outcome:
        if self.options.file.with_name(OUTAGE).exists():
            self.note(context, "retry")
            return Retry("the partner is down")
        if context.attempt == 1 and zlib.crc32(context.idempotency_key.encode()) % 8 == 0:
            self.note(context, "retry")
            return Retry("not yet", after=0.2)
        self.note(context, "done")
        return Done(note="at last")


class Late(Ledger):
    """Note each run, and be done with the fourth: by then another rule has moved the mail."""

    async def handle(self, message: Message, context: Context) -> Outcome | None:
        is_done = context.attempt > TOO_EARLY
        self.note(context, "done" if is_done else "retry")
        return None if is_done else Retry("not yet", after=0.5, waiting=True)


class Careful(Ledger):
    """Note each run, claim an effect, and keep a state: what a handler has of the journal."""

    async def handle(self, message: Message, context: Context) -> Outcome | None:
        is_first = await context.once("booked")
        await context.state.set("last", message.id)
        self.note(context, "first" if is_first else "again")
        return None
