"""`postroom` as a process whose output is read line by line, and as a command that runs to its end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from postroom.cli.main import run

PATIENCE = 20.0

INDISCREET = ("eyJ", "Bearer ", "client_secret=", "client_assertion=", "Good day", "Traceback")
"""What no output of the daemon may hold: tokens, secrets on their way, the text of the tests' mails."""

Line = dict[str, Any]


class Output:
    """The lines a process has written so far, and a bell for the next."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self.lines: list[str] = []
        self._bell = asyncio.Event()
        self.ended = asyncio.create_task(self._read(stream))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._bell.set()
        self._bell.set()

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    @property
    def log(self) -> list[Line]:
        """The lines as JSON; a line that is none fails the test."""
        return [json.loads(line) for line in self.lines]

    async def until(self, fits: Callable[[str], bool], what: str, after: int = 0, limit: float = PATIENCE) -> str:
        """Wait for a line, not among the first `after`, that fits."""
        seen = after
        try:
            async with asyncio.timeout(limit):
                while True:
                    for line in self.lines[seen:]:
                        if fits(line):
                            return line
                    seen = len(self.lines)
                    if self.ended.done():
                        break
                    self._bell.clear()
                    if len(self.lines) == seen and not self.ended.done():
                        await self._bell.wait()
        except TimeoutError:
            pass
        return pytest.fail(f"{what} did not come; the output was\n{self.text}")

    async def event(self, name: str, after: int = 0, **fields: Any) -> Line:
        """Wait for a log line of that event with these fields."""

        def fits(line: str) -> bool:
            told = json.loads(line)
            return told["event"] == name and all(told.get(key) == value for key, value in fields.items())

        found: Line = json.loads(await self.until(fits, f"event {name} {fields}", after))
        return found


class Postroom:
    """A running `postroom`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out = Output(process.stdout)
        self.err = Output(process.stderr)

    @property
    def text(self) -> str:
        """Everything it wrote."""
        return f"{self.out.text}\n{self.err.text}"

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self, limit: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(limit):
            await asyncio.wait({self.out.ended, self.err.ended})
            return await self.process.wait()

    async def stopped(self, limit: float = PATIENCE) -> int:
        """Send SIGTERM and return the exit code."""
        self.tell(signal.SIGTERM)
        return await self.ended(limit)


@contextlib.asynccontextmanager
async def postroom(*arguments: object, **environment: str) -> AsyncIterator[Postroom]:
    """Run `postroom` with these arguments; ended at the end if it still runs, and killed if it does not end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "postroom", *map(str, arguments)),
        # Compiling the daemon anew for each process would take as long as the tests themselves.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    running = Postroom(process)
    try:
        yield running
    finally:
        await _end(running)


async def _end(running: Postroom) -> None:
    """Ask first: a demo that is killed leaves its daemon behind."""
    if running.process.returncode is None:
        running.process.terminate()
        try:
            await running.ended(limit=5.0)
        except TimeoutError:
            running.process.kill()
    await running.ended()


@contextlib.asynccontextmanager
async def daemon(config: object, **environment: str) -> AsyncIterator[Postroom]:
    """Run `postroom run -c CONFIG` and wait until it has started; all it ever says must be a log line, and discreet."""
    async with postroom("run", "-c", config, **environment) as running:
        await running.err.event("started")
        yield running
    assert running.out.text == ""
    assert all({"time", "level", "event"} <= line.keys() for line in running.err.log)
    told = [word for word in INDISCREET if word in running.err.text]
    assert not told, running.err.text


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it wrote."""
        return f"{self.out}\n{self.err}"

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


async def command(*arguments: object, limit: float = PATIENCE, **environment: str) -> Ended:
    """Run a command to its end."""
    async with postroom(*arguments, **environment) as running:
        code = await running.ended(limit)
        return Ended(code, running.out.text, running.err.text)


async def invoke(*arguments: object) -> Ended:
    """Run a command to its end without a process of its own, in a thread: what it does is the same, and cheaper."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(run, [str(each) for each in arguments])
    return Ended(code, out.getvalue(), err.getvalue())
