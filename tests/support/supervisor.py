"""What systemd does with the daemon's unit: start it again when it fails, and end it when its watchdog is not fed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

LEFT_DOWN = (0, 2, 78)
"""Exit codes after which the unit is not started again (`Restart=on-failure`, `RestartPreventExitStatus=2 78`)."""

START_LIMIT = 60.0
"""Seconds until READY=1, or the start has failed."""


class Supervisor:
    """Keeps `postroom run -c CONFIG` running.

    Args:
        watchdog: Seconds within which WATCHDOG=1 must come once READY=1 has.
        prepare: Run in each new process before it becomes the daemon, such as to put it under a limit.

    Attributes:
        endings: How each process ended: its exit code, or the signal's number, negative.
    """

    def __init__(self, config: Path, *, watchdog: float = 60.0, prepare: Callable[[], None] | None = None) -> None:
        self.config = config
        self.endings: list[int] = []
        self._watchdog = watchdog
        self._prepare = prepare
        self._address = config.parent / "supervisor.sock"
        self._told = asyncio.Event()
        self._is_ready = False
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._address))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        self._task = asyncio.create_task(self._keep_up())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await self._task
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        told = self._socket.recv(65536).decode().split("\n")
        self._is_ready = self._is_ready or "READY=1" in told
        if "READY=1" in told or "WATCHDOG=1" in told:
            self._told.set()

    async def _keep_up(self) -> None:
        while not self._stopping:
            self.endings.append(await self._live())
            if self.endings[-1] in LEFT_DOWN:
                return

    async def _live(self) -> int:
        """Run the daemon once and return how it ended."""
        self._is_ready = False
        with (self.config.parent / "daemon.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "postroom", "run", "-c", str(self.config)),
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": str(self._address),
                    "WATCHDOG_USEC": str(int(self._watchdog * 1_000_000)),
                },
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare,
            )
        ended = asyncio.create_task(self._process.wait())
        while not ended.done():
            if not await self._hears_of_it(ended):
                self._process.send_signal(signal.SIGABRT)
                await ended
        return ended.result()

    async def _hears_of_it(self, ended: asyncio.Task[int]) -> bool:
        """Wait until the daemon says something or ends; False when it has been silent for too long."""
        self._told.clear()
        told = asyncio.create_task(self._told.wait())
        limit = self._watchdog if self._is_ready else START_LIMIT
        done, _ = await asyncio.wait({ended, told}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        return bool(done)
