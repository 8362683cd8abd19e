"""A small disk: a tmpfs in a mount namespace of its own, which needs no rights on the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from support.command import Postroom

_HOLD = 'mount -t tmpfs -o size="$2",mode=700 disk "$1" && echo ready && exec cat'


class SmallDisk:
    """A file system with little room, mounted at `place` for those who run inside.

    Attributes:
        seen: Where the test sees what is at `place` inside.
    """

    def __init__(self, place: Path, size: str) -> None:
        self.place = place
        self.seen: Path
        self._size = size

    async def __aenter__(self) -> Self:
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            pytest.skip("unshare and nsenter of util-linux are not installed")
        await asyncio.to_thread(self.place.mkdir)
        self._holder = await asyncio.create_subprocess_exec(
            *("unshare", "--map-root-user", "--mount", "sh", "-c", _HOLD, "sh", str(self.place), self._size),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if (await self._holder.stdout.readline()).strip() != b"ready":
            _, error = await self._holder.communicate()
            pytest.skip(f"this machine lets nobody mount a disk in a namespace of his own: {error.decode().strip()}")
        self.seen = Path(f"/proc/{self._holder.pid}/root{self.place}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._holder.communicate(b"")  # what ends `cat`, and with it the namespace

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.seen / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"\0" * size)

    def make_room(self) -> None:
        """Undo `fill`."""
        (self.seen / "ballast").unlink()

    async def remount(self, options: str) -> None:
        """Mount it again, such as ``ro``."""
        process = await asyncio.create_subprocess_exec(*self._inside("mount", "-o", f"remount,{options}", self.place))
        assert await process.wait() == 0

    @contextlib.asynccontextmanager
    async def postroom(self, *arguments: object) -> AsyncIterator[Postroom]:
        """Run `postroom` inside; killed at the end if it still runs."""
        process = await asyncio.create_subprocess_exec(
            *self._inside(sys.executable, "-m", "postroom", *arguments),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        running = Postroom(process)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await running.ended()

    def _inside(self, *words: object) -> list[str]:
        target = str(self._holder.pid)
        return ["nsenter", "--target", target, "--user", "--mount", "--preserve-credentials", *map(str, words)]
