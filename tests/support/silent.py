"""A host that takes connections and says nothing."""

from __future__ import annotations

import asyncio
from typing import Self


class SilentHost:
    """Listens at `url`; `connected` is set by the first who comes."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def _hold(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connected.set()

    async def visited(self) -> None:
        """Wait for the first connection."""
        async with asyncio.timeout(20):
            await self.connected.wait()
