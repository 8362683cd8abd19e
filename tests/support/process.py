"""The real daemon as a process, with a handler that tells the test of every run over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

LEDGER_HANDLER = '''
import socket

from pydantic import PrivateAttr

from postroom.plugin import Context, Done, Handler, Message, Options


class LedgerOptions(Options):
    """Where the test listens."""

    address: str


class Ledger(Handler[LedgerOptions]):
    """Tell the test of each run."""

    async def open(self):
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.line.connect(self.options.address)

    async def handle(self, message: Message, context: Context):
        self.line.sendall(f"{message.id} {context.attempt} {context.idempotency_key}\\n".encode())
        return Done(note="told")

    async def close(self):
        self.line.close()
'''


class LedgerServer:
    """Counts the runs of each message and wakes whoever waits for more of them."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self.runs: list[tuple[str, int, str]] = []
        self._bell = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._listen, self.address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message, attempt, key = line.decode().split()
                self.runs.append((message, int(attempt), key))
                self._bell.set()
        writer.close()

    @property
    def messages(self) -> set[str]:
        """Ids of the messages that were handled at least once."""
        return {message for message, _, _ in self.runs}

    @property
    def repeats(self) -> Counter[str]:
        """Runs of each message."""
        return Counter(message for message, _, _ in self.runs)

    async def until(self, runs: int) -> None:
        """Wait until there were so many runs."""
        async with asyncio.timeout(60):
            while len(self.runs) < runs:
                self._bell.clear()
                await self._bell.wait()


@contextlib.asynccontextmanager
async def daemon_process(config: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `postroom run -c CONFIG`; killed at the end if it still runs."""
    with (config.parent / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "postroom", "run", "-c", str(config)),
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()


async def ended(process: asyncio.subprocess.Process, number: signal.Signals, limit: float = 30.0) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    async with asyncio.timeout(limit):
        return await process.wait()
