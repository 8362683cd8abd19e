"""Answers that come from disk piece by piece, so that no mail is ever held whole to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

WORTH_STREAMING = 512 * 1024
"""Bytes from which on an answer is streamed; smaller ones are simpler, and compressed."""


class StreamedBody(Payload):
    """The body of an answer, read while it is sent. `bytes` reads it whole, for whoever records answers.

    Args:
        chunks: Begins to read anew each time it is called.
        size: Bytes of the whole.
    """

    def __init__(self, chunks: Callable[[], Iterator[bytes]], size: int, content_type: str) -> None:
        super().__init__(chunks, content_type=content_type)
        self._chunks = chunks
        self._size = size

    def __bytes__(self) -> bytes:
        return b"".join(self._chunks())

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the whole as text."""
        return bytes(self).decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002 - aiohttp's
        """Return the whole."""
        return bytes(self)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the whole."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send the first `content_length` bytes, or all."""
        left: Any = self._size if content_length is None else content_length
        for chunk in self._chunks():
            if left <= 0:
                return
            await writer.write(chunk[:left])
            left -= len(chunk)
