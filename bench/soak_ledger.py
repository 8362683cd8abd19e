"""A handler that keeps a ledger, for `soak.py`: which mail, in which attempt, and how many tasks there were."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO

from pydantic import PrivateAttr

from postroom.plugin import Context, Handler, Message, Options, Outcome, Retry

EVERY = 50
"""One mail in so many is retried once."""


class LedgerOptions(Options):
    """Where the ledger is."""

    file: Path
    """Lines of mail, attempt and tasks."""

    _open: IO[str] | None = PrivateAttr(default=None)


class Ledger(Handler[LedgerOptions]):
    """Write a line for each run."""

    async def open(self) -> None:
        """Open the ledger."""
        self._file = self.options.file.open("a", buffering=1)

    async def handle(self, message: Message, context: Context) -> Outcome | None:
        """Note the run; some fail the first time."""
        number = int(message.subject.split()[-1])
        if number % EVERY == 0 and context.attempt == 1:
            return Retry("the first time never works", after=1)
        async with context.once("noted") if number % EVERY == 1 else _always() as first:
            if first:
                self._file.write(f"{number} {context.attempt} {len(asyncio.all_tasks())}\n")
        return None

    async def close(self) -> None:
        """Close the ledger."""
        if hasattr(self, "_file"):
            self._file.close()


class _always:  # noqa: N801 - stands where `once` would
    async def __aenter__(self) -> bool:
        return True

    async def __aexit__(self, *_: object) -> None:
        return None
