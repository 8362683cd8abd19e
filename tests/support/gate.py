"""A handler in the daemon's process whose every attempt asks the test what to do, over a socket."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

GATE_HANDLER = '''
import asyncio
import time

from postroom.plugin import Context, Done, Handler, Message, Options, Reject, Retry


class GateOptions(Options):
    """Where the test listens."""

    address: str
    mark: str = ""


class Gate(Handler[GateOptions]):
    """Ask the test what to do."""

    async def open(self):
        if self.options.mark == "broken":
            raise OSError("the gate is rusty")

    async def handle(self, message: Message, context: Context):
        reader, writer = await asyncio.open_unix_connection(self.options.address)
        words = (message.subject or "-", context.attempt, context.idempotency_key, self.options.mark or "-")
        writer.write(("\\t".join(map(str, words)) + "\\n").encode())
        try:
            answer = (await reader.readline()).decode().strip()
        finally:
            writer.close()
        return await self.follow(answer)

    async def follow(self, answer: str):
        if answer == "hang":
            await asyncio.to_thread(time.sleep, 3600)  # what no cancellation ends
        elif answer == "stubborn":
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass
        return {"done": Done(), "reject": Reject("the gate is shut"), "retry": Retry("later", after=3600)}[answer]
'''


@dataclass(frozen=True)
class Attempt:
    """An attempt that waits for the test's answer."""

    subject: str
    attempt: int
    key: str
    mark: str
    writer: asyncio.StreamWriter

    def answer(self, word: str) -> None:
        """Let it go on: ``done``, ``reject``, ``retry``, ``hang`` or ``stubborn``."""
        self.writer.write(f"{word}\n".encode())


class Gate:
    """The test's end of the socket."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "gate.py"
        self.file.write_text(GATE_HANDLER)
        self.address = directory / "gate.sock"
        self._attempts: asyncio.Queue[Attempt] = asyncio.Queue()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def handler(self) -> str:
        """The handler as the configuration names it."""
        return self.configured()

    def configured(self, mark: str = "") -> str:
        """The handler as the configuration names it, its attempts marked."""
        return f'{{use: "{self.file}:Gate", with: {{address: "{self.address}", mark: "{mark}"}}, timeout: 1h}}'

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._asked, self.address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError):
            subject, attempt, key, mark = (await reader.readline()).decode().rstrip("\n").split("\t")
            self._attempts.put_nowait(Attempt(subject, int(attempt), key, mark, writer))
            await reader.read()
        writer.close()
        self._open.discard(writer)

    async def attempt(self, limit: float = 20.0) -> Attempt:
        """Wait for the next attempt."""
        async with asyncio.timeout(limit):
            return await self._attempts.get()

    @property
    def waiting(self) -> int:
        """Attempts nobody has looked at."""
        return self._attempts.qsize()
