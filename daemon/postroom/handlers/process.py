"""A child process on a leash: its own process group, output kept within limits, gone when we are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT_OUTPUT = 16_384
"""Bytes kept of the end of each output; the rest is read and forgotten."""

LONGEST_LINE = 300
"""Characters of a line of output that is shown."""

_PIPES_CLOSE_WITHIN = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `code` is negative for a signal, as in `subprocess`."""

    code: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str], *, stdin: Path, environment: Mapping[str, str], directory: Path | None, kill_after: float
) -> Ended:
    """Run a program without a shell, in a process group of its own, and wait for its end.

    Cancelled, it sends TERM to the group and, after `kill_after` seconds, KILL. Raises OSError when it cannot start.
    """
    with stdin.open("rb") as source:
        starting = asyncio.get_running_loop().subprocess_exec(
            _Leash, *argv, stdin=source, env=dict(environment), cwd=directory, start_new_session=True
        )
        transport, leash = await _started(asyncio.ensure_future(starting), kill_after)
    try:
        await leash.exited.wait()
        await _within(_PIPES_CLOSE_WITHIN, leash.closed)  # a child left behind may hold them open
    except asyncio.CancelledError:
        await _stop(transport, leash, kill_after)
        raise
    finally:
        transport.close()
    code = transport.get_returncode()
    assert code is not None
    return Ended(code, leash.output[1], leash.output[2])


def last_line(output: bytes) -> str:
    """Return the last line that says something, cut to `LONGEST_LINE`, free of control characters."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    shown = "".join(" " if unicodedata.category(one) in {"Cc", "Cf"} else one for one in lines[-1]) if lines else ""
    return shown.strip()[:LONGEST_LINE]


class _Leash(asyncio.SubprocessProtocol):
    """What we hold of a running process: the end of its outputs, and the news that it is over."""

    def __init__(self) -> None:
        self.output = {1: b"", 2: b""}
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output[fd] = (self.output[fd] + data)[-KEPT_OUTPUT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(fd)
        if not self._open:
            self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


_Running = tuple[asyncio.SubprocessTransport, _Leash]


async def _within(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):  # waited long enough
        async with asyncio.timeout(seconds):
            await event.wait()


async def _started(starting: asyncio.Future[_Running], kill_after: float) -> _Running:
    """Wait for the start; when cancelled meanwhile, asyncio alone would kill the program without a word."""
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            transport, leash = starting.result()
            try:
                await _stop(transport, leash, kill_after)
            finally:
                transport.close()
        raise


async def _stop(transport: asyncio.SubprocessTransport, leash: _Leash, kill_after: float) -> None:
    group = transport.get_pid()
    _signal(group, signal.SIGTERM)
    try:
        await _within(kill_after, leash.exited)
    finally:
        _signal(group, signal.SIGKILL)
    await leash.exited.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # nobody of the group is left
        os.killpg(group, number)
