"""`FakeContext`: what Postroom lends a handler, out of memory and temporary files."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp

from postroom.plugin import Attachment, Body, Log, Message, Once, State
from postroom.testing.clock import ManualClock
from postroom.testing.mail import make_message, make_mime

HEADERS = (("Received", "from mail.supplier.example"), ("X-Mailer", "Postroom test kit"))


TEXT = Body("text", "Please find our invoice attached.\n")


class RecordingLog:
    """A log that appends (level, event, fields) to `entries`."""

    def __init__(self, entries: list[tuple[str, str, dict[str, Any]]]) -> None:
        self.entries = entries

    def debug(self, event: str, **fields: Any) -> None:
        """Remember a detail."""
        self.entries.append(("debug", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Remember what happened."""
        self.entries.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Remember what an operator may want to look at."""
        self.entries.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        """Remember what an operator must look at."""
        self.entries.append(("error", event, fields))


class MemoryState:
    """A `State` out of memory that, like the real one, keeps JSON and nothing else."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under `key`."""
        return json.loads(self.values[key]) if key in self.values else default

    async def set(self, key: str, value: Any) -> None:
        """Store `value` under `key`; raises TypeError when JSON cannot say it."""
        self.values[key] = json.dumps(value)

    async def add(self, key: str, amount: int = 1) -> int:
        """Add to the whole number under `key`, and return the sum; raises TypeError when there is something else."""
        before = await self.get(key, 0)
        if isinstance(before, bool) or not isinstance(before, int):
            raise TypeError(f"what is stored under {key!r} is no whole number, so nothing can be added to it")
        await self.set(key, before + amount)
        return before + amount


@dataclass(kw_only=True)
class FakeContext:
    """A `Context` for tests; the same one handed to two runs plays a repeat. Use `async with` to close `http`.

    Attributes:
        raw: The mail as MIME; made from the message, the text and the files when None.
        stalls: Everything fetched hangs for ever, and `stalled` is set: to test how cancelling goes.
        logged: What was written to `log`, as (level, event, fields).
        claimed: The effects that `once` has recorded.
    """

    message: Message = field(default_factory=make_message)
    files: Sequence[Attachment] = ()
    text: Body = TEXT
    internet_headers: Sequence[tuple[str, str]] = HEADERS
    raw: bytes | None = None
    rule: str = "test rule"
    handler: str = "test_handler"
    attempt: int = 1
    stalls: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    state: State = field(default_factory=MemoryState)
    claimed: set[str] = field(default_factory=set)
    logged: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    log: Log = field(init=False)
    mailbox: str = field(init=False)
    idempotency_key: str = field(init=False)
    _http: aiohttp.ClientSession | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.log = RecordingLog(self.logged)
        self.mailbox = self.message.mailbox
        self.idempotency_key = f"{self.mailbox}/{self.message.id}/{self.handler}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the HTTP session if there is one."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """A real session, made when it is first asked for."""
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._http

    def now(self) -> datetime:
        """Return the clock's time."""
        return self.clock.now()

    async def body(self, kind: Literal["text", "html"] = "text") -> Body:
        """Return the text, in the kind asked for."""
        await self._fetch()
        return Body(kind, self.text.content)

    async def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the internet headers."""
        await self._fetch()
        return tuple(self.internet_headers)

    async def attachments(self, pattern: str = "*", *, inline: bool = False) -> AsyncIterator[Attachment]:
        """Yield the attachments that fit."""
        await self._fetch()
        for file in self.files:
            if (inline or not file.is_inline) and fnmatchcase(file.name.casefold(), pattern.casefold()):
                yield file

    @asynccontextmanager
    async def mime(self) -> AsyncIterator[Path]:
        """Write the mail to a real temporary file."""
        await self._fetch()
        raw = self.raw if self.raw is not None else await make_mime(self.message, self.text, self.files)
        with tempfile.TemporaryDirectory(prefix="postroom-test-") as directory:
            path = Path(directory) / "message.eml"
            path.write_bytes(raw)
            yield path

    def once(self, key: str) -> Once:
        """Tell whether an effect is still to be made, and record it in `claimed`."""

        async def is_recorded() -> bool:
            return key in self.claimed

        async def record() -> bool:
            first = key not in self.claimed
            self.claimed.add(key)
            return first

        return Once(is_recorded, record)

    async def _fetch(self) -> None:
        if self.stalls:
            self.stalled.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
