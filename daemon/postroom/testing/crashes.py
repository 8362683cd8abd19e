"""Crashes on purpose: a handler is cut off at every point where it waits for Postroom, and run again.

It is cut off as `kill -9` would do it: what it waits for never comes, so that not even its ``finally`` is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp

from postroom.plugin import Attachment, Body, Handler, Message, Once, Options, State
from postroom.testing.context import HEADERS, TEXT, FakeContext, MemoryState
from postroom.testing.mail import make_message
from postroom.testing.running import call, legal

NOWHERE = -1


@dataclass(kw_only=True)
class CrashingContext(FakeContext):
    """A `FakeContext` in which the handler's process dies at the `crash_at`-th point.

    Attributes:
        points: The points that were come to, in words.
        crashed: Set when it died.
    """

    crash_at: int = NOWHERE
    points: list[str] = field(default_factory=list)
    crashed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.state = _CrashingState(self.state, self.reach)

    async def reach(self, point: str) -> None:
        """Come to a point; when it is the one, nothing comes after it."""
        self.points.append(point)
        if len(self.points) - 1 == self.crash_at:
            self.crashed.set()
            await asyncio.Event().wait()

    @property
    def http(self) -> aiohttp.ClientSession:
        """A real session whose requests are points: before each is sent, and when it was answered."""
        if self._http is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_start.append(self._requesting)
            trace.on_request_end.append(self._answered)
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace])
        return self._http

    async def _requesting(self, _session: Any, _trace: object, params: aiohttp.TraceRequestStartParams) -> None:
        await self.reach(f"before {params.method} to another system")

    async def _answered(self, _session: Any, _trace: object, params: aiohttp.TraceRequestEndParams) -> None:
        await self.reach(f"after {params.method} to another system")

    async def body(self, kind: Literal["text", "html"] = "text") -> Body:
        """Return the text, in the kind asked for."""
        await self.reach("body")
        return await super().body(kind)

    async def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the internet headers."""
        await self.reach("headers")
        return await super().headers()

    async def attachments(self, pattern: str = "*", *, inline: bool = False) -> AsyncIterator[Attachment]:
        """Yield the attachments that fit."""
        await self.reach("attachments")
        async for file in super().attachments(pattern, inline=inline):
            yield replace(file, source=_CrashingSource(file, self.reach))

    @asynccontextmanager
    async def mime(self) -> AsyncIterator[Path]:
        """Write the mail to a real temporary file."""
        await self.reach("mime")
        async with super().mime() as path:
            yield path
        await self.reach("mime, its file closed")

    def once(self, key: str) -> Once:
        """Tell whether an effect is still to be made, and record it."""
        effect = super().once(key)

        async def is_recorded() -> bool:
            await self.reach(f"once({key!r}), entered")
            return await effect._is_recorded()  # noqa: SLF001 - the kit's own

        async def record() -> bool:
            await self.reach(f"once({key!r}), not recorded yet")
            first = await effect
            await self.reach(f"once({key!r}), recorded")
            return first

        return Once(is_recorded, record)


class _CrashingState:
    def __init__(self, state: State, reach: Callable[[str], Any]) -> None:
        self._state = state
        self._reach = reach

    async def get(self, key: str, default: Any = None) -> Any:
        await self._reach(f"state.get({key!r})")
        return await self._state.get(key, default)

    async def set(self, key: str, value: Any) -> None:
        await self._reach(f"state.set({key!r}), not stored yet")
        await self._state.set(key, value)
        await self._reach(f"state.set({key!r}), stored")

    async def add(self, key: str, amount: int = 1) -> int:
        await self._reach(f"state.add({key!r}), not stored yet")
        total = await self._state.add(key, amount)
        await self._reach(f"state.add({key!r}), stored")
        return total


class _CrashingSource:
    def __init__(self, file: Attachment, reach: Callable[[str], Any]) -> None:
        self._file = file
        self._reach = reach

    async def attachment_content(self, attachment_id: str) -> AsyncGenerator[bytes, None]:
        await self._reach(f"content of {self._file.name!r}")
        async for piece in self._file.source.attachment_content(attachment_id):
            yield piece
            await self._reach(f"content of {self._file.name!r}, a piece read")


async def repeat_at_every_crash(
    handler: type[Handler[Any]],
    begin: Callable[[], Mapping[str, Any] | Options | None],
    effects: Callable[[], object],
    *,
    message: Message | None = None,
    attachments: Sequence[Attachment] = (),
    body: Body | str = TEXT,
    headers: Sequence[tuple[str, str]] = HEADERS,
    mime: bytes | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - the limit belongs to the handler, as in the configuration
) -> list[str]:
    """Cut a handler off at every point, run it again, and hold what it has brought about to that of a whole run.

    Points are where it starts, each time it waits for its context (content, `once`, `state`, `http`), and when it has
    ended and nobody knows yet. The repeat is a new object with a higher attempt, the same idempotency key, and what was
    recorded by then. A plain ``def handle`` has the first and the last point alone.

    `begin` makes the world anew, as it was before the mail came, and returns the handler's options; `effects` returns
    what the handler has brought about, to be compared. The mail is given as to `run_handler`.

    Returns the points in words. Raises AssertionError naming the point after which a repeat leaves other effects
    behind, and TimeoutError when a run takes longer than `timeout` seconds.
    """
    text = Body("text", body) if isinstance(body, str) else body
    mail = message or make_message(has_attachments=bool(attachments))
    given: dict[str, Any] = {
        "message": mail,
        "files": attachments,
        "text": text,
        "internet_headers": headers,
        "raw": mime,
    }

    async def run(crash_at: int) -> tuple[list[str], object]:
        options, stored = _options(handler, begin()), MemoryState()
        first = CrashingContext(**given, state=stored, crash_at=crash_at)
        async with _attempt(handler(options), first, timeout) as cut_off:
            if cut_off:
                again = CrashingContext(**given, state=stored, claimed=first.claimed, attempt=2)
                async with _attempt(handler(options), again, timeout):
                    pass
            return first.points, effects()

    points, whole = await run(NOWHERE)
    for number, point in enumerate(points):
        _, found = await run(number)
        assert found == whole, (
            f"cut off at point {number + 1} of {len(points)} ({point}) and run again, {handler.__name__} "
            f"leaves {found!r} behind, and not {whole!r}"
        )
    return points


def _options(handler: type[Handler[Any]], given: Mapping[str, Any] | Options | None) -> Options:
    return given if isinstance(given, Options) else handler.options_type.model_validate(dict(given or {}))


@asynccontextmanager
async def _attempt(handler: Handler[Any], context: CrashingContext, seconds: float) -> AsyncIterator[bool]:
    """Run an attempt and say whether it was cut off; whatever hangs then does so until the block ends."""
    await handler.open()
    running = asyncio.ensure_future(_whole(handler, context))
    crashed = asyncio.ensure_future(context.crashed.wait())
    try:
        done, _ = await asyncio.wait({running, crashed}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError(f"{type(handler).__name__} has not ended within {seconds:g} s")
        if running in done:
            legal(running.result(), type(handler).__name__)
        yield running not in done
    finally:
        for task in (running, crashed):
            task.cancel()
        await asyncio.gather(running, crashed, return_exceptions=True)
        await handler.close()
        await context.close()


async def _whole(handler: Handler[Any], context: CrashingContext) -> object:
    await context.reach("the start")
    answer = await call(handler, context)
    await context.reach("the end")
    return answer
