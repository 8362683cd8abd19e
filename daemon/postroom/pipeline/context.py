"""What a handler is lent for one attempt: `plugin.Context` over the mailbox and the journal."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from postroom.model import Body, Delivery
from postroom.pipeline.excuses import is_of_mailbox
from postroom.pipeline.streams import Streams
from postroom.plugin import Attachment, Log, Once, State
from postroom.ports import Clock, Journal, Mail


class HandlerState:
    """`plugin.State` kept in the journal under the configured handler's name."""

    def __init__(self, journal: Journal, handler: str) -> None:
        self._journal = journal
        self._handler = handler

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under `key`."""
        text = await self._journal.state_get(self._handler, key)
        return default if text is None else json.loads(text)

    async def set(self, key: str, value: Any) -> None:
        """Store `value` under `key`, now."""
        await self._journal.state_set(self._handler, key, json.dumps(value))

    async def add(self, key: str, amount: int = 1) -> int:
        """Add to the whole number under `key`, and return the sum; raises TypeError when there is something else."""
        return await self._journal.state_add(self._handler, key, amount)


_OVER = Streams(nullcontext, is_over=True)
"""What an attempt that has ended lends: nothing."""

_UNANSWERED = asyncio.CancelledError()
"""What the end of an attempt is to a request that has no answer yet; never raised."""


class AttemptContext:
    """`plugin.Context` for one attempt of one delivery. What not every handler wants is made when it is asked for.

    Args:
        bind_log: Makes the bound logger for a delivery.

    Attributes:
        trouble: Why the mailbox could not be asked the last time the handler wanted it to be; None while it could.
        was_answered: The mailbox has answered the handler the last time it was asked.
        streams: What it reads piece by piece, once it does.
    """

    trouble: BaseException | None = None
    was_answered: bool = False
    streams: Streams | None = None

    def __init__(
        self,
        delivery: Delivery,
        *,
        mail: Mail,
        journal: Journal,
        clock: Clock,
        http: Any,
        bind_log: Callable[[Delivery], Log],
    ) -> None:
        self.mailbox = delivery.message.mailbox
        self.rule = delivery.rule
        self.handler = delivery.handler
        self.attempt = delivery.attempt
        self.message_id = delivery.message_id
        self.http = http
        self._delivery = delivery
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._bind_log = bind_log

    @cached_property
    def idempotency_key(self) -> str:
        """The same for every attempt of this delivery and for no other."""
        return self._delivery.idempotency_key

    @cached_property
    def log(self) -> Log:
        """A logger that knows the mail, the handler and the attempt."""
        return self._bind_log(self._delivery)

    @cached_property
    def state(self) -> State:
        """Key-value pairs kept for the configured handler."""
        return HandlerState(self._journal, self.handler)

    def now(self) -> datetime:
        """Return the time (aware, UTC)."""
        return self._clock.now()

    def end(self) -> Streams | None:
        """Lend no stream any more, and return what is to be closed, if any was lent."""
        lent, self.streams = self.streams, _OVER
        return lent

    async def body(self, kind: Literal["text", "html"] = "text") -> Body:
        """Fetch the mail's text."""
        with self.asking():
            return await self._mail.body(self._delivery.message.id, kind)

    async def headers(self) -> tuple[tuple[str, str], ...]:
        """Fetch the internet headers, in their order."""
        with self.asking():
            return await self._mail.headers(self._delivery.message.id)

    async def attachments(self, pattern: str = "*", *, inline: bool = False) -> AsyncIterator[Attachment]:
        """Yield the attachments that have content and whose name fits; a link to a cloud file has none."""
        with self.asking():
            found = await self._mail.attachments(self._delivery.message.id)
        for info in found:
            if info.kind == "reference" or (info.is_inline and not inline):
                continue
            if fnmatch.fnmatchcase(info.name.lower(), pattern.lower()):
                yield Attachment(info.id, info.name, info.content_type, info.size, info.is_inline, self, info.kind)

    def attachment_content(self, attachment_id: str) -> AsyncGenerator[bytes, None]:
        """Yield an attachment's content in pieces."""
        return self._pieces(self._mail.attachment_content(self._delivery.message.id, attachment_id))

    @asynccontextmanager
    async def mime(self) -> AsyncIterator[Path]:
        """Fetch the whole mail as MIME into a temporary file."""
        directory = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="postroom-")
        try:
            path = Path(directory.name) / "message.eml"
            file = await asyncio.to_thread(path.open, "wb")
            try:
                async with aclosing(self._pieces(self._mail.mime(self._delivery.message.id))) as pieces:
                    async for piece in pieces:
                        await asyncio.to_thread(file.write, piece)
            finally:
                await asyncio.to_thread(file.close)
            yield path
        finally:
            await asyncio.to_thread(directory.cleanup)

    def _pieces(self, stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Hand a stream on; what the handler does between two pieces is its own business."""
        if self.streams is None:
            self.streams = Streams(self.asking)
        return self.streams.lend(cast("AsyncGenerator[bytes, None]", stream))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Remember whether the mailbox could be asked; until it answers, it could not: an attempt may be given up."""
        self.trouble, self.was_answered = _UNANSWERED, False
        try:
            yield
        except BaseException as error:
            self.trouble = error if is_of_mailbox(error) else None
            raise
        self.trouble, self.was_answered = None, True

    def once(self, key: str) -> Once:
        """Tell whether an effect is still to be made for this delivery, and record it."""
        effect = (self._delivery.id, key)
        return Once(lambda: self._journal.has_effect(*effect), lambda: self._journal.claim_effect(*effect))
