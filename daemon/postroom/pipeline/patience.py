"""A time limit that costs nothing as long as nobody waits, for most handlers of most mail are done at once."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Goes on with a coroutine that has to wait, in the present task, and limits how long it waits.

    Before that it cannot be cut off anyway: the event loop is its own.

    Args:
        seconds: How long it may wait in all.
        waits: Called before it waits.
    """

    def __init__(self, seconds: float, waits: Callable[[], None]) -> None:
        self._seconds = seconds
        self._waits = waits
        self._limit: asyncio.Timeout | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time was up before the coroutine ended."""
        return self._limit is not None and self._limit.expired()

    async def run(self, work: Coroutine[Any, Any, T], awaited: Any) -> T:
        """Return what `work`, which waits for `awaited`, returns, or raise what it raises, or TimeoutError."""
        self._waits()
        self._limit = asyncio.timeout(self._seconds)
        async with self._limit:
            return await _go_on(work, awaited)


@types.coroutine
def _go_on(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Do what ``await work`` does, from where it waits for `awaited` on."""
    try:
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - a cancellation too is for the coroutine to see
                awaited = work.throw(error)
            else:
                awaited = work.send(sent)
    except StopIteration as end:
        result: T = end.value
        return result
