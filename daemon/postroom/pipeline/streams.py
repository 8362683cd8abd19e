"""What an attempt reads piece by piece: each stream holds a request in flight, so none outlives its attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing

from postroom.errors import HandlerError


class Streams:
    """The streams lent to one attempt.

    Args:
        asking: Goes around each wait for a piece.
        is_over: Nothing is lent.
    """

    def __init__(self, asking: Callable[[], AbstractContextManager[None]], *, is_over: bool = False) -> None:
        self._asking = asking
        self._readers: dict[AsyncGenerator[bytes, None], asyncio.Task[object] | None] = {}
        self._is_over = is_over

    @property
    def are_open(self) -> bool:
        """Whether any holds a request in flight."""
        return bool(self._readers)

    async def lend(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Hand a stream on; raises HandlerError once the attempt has ended, lest a part be taken for the whole."""
        self._check()
        try:
            async with aclosing(stream):
                while True:
                    self._readers[stream] = asyncio.current_task()
                    with self._asking():
                        piece = await anext(stream, None)
                    self._readers[stream] = None
                    if piece is None:
                        self._check()
                        return
                    yield piece
        finally:
            self._readers.pop(stream, None)

    async def close(self) -> None:
        """End all that are open, also one that somebody reads on behind the attempt's back: that task is cancelled."""
        self._is_over = True
        open_now, self._readers = self._readers, {}
        for stream, reader in open_now.items():
            if reader is not None:
                reader.cancel()
            else:
                await stream.aclose()

    def _check(self) -> None:
        if self._is_over:
            raise HandlerError(
                "The attempt that this content was lent to has ended.",
                remedy="Read attachments and mails within `handle`, and wait there for every task that reads them.",
            )
