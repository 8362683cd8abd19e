"""The service manager's end of sd_notify(3)."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Self

import pytest

PATIENCE = 20.0


class Systemd:
    """Listens at `address` and keeps every message as its fields."""

    def __init__(self, directory: Path) -> None:
        self.address = directory / "notify"
        self.told: list[dict[str, str]] = []
        self._bell = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self.address))
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        text = self._socket.recv(65536).decode()
        self.told.append(dict(line.split("=", 1) for line in text.split("\n")))
        self._bell.set()

    def count(self, field: str) -> int:
        """Messages with that field."""
        return sum(field in each for each in self.told)

    async def hear(self, field: str, times: int = 1) -> dict[str, str]:
        """Wait for the message number `times` with that field."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self.count(field) < times:
                    self._bell.clear()
                    await self._bell.wait()
        except TimeoutError:
            pytest.fail(f"{field} was not told {times} times: {self.told}")
        return [each for each in self.told if field in each][times - 1]
