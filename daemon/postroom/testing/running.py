"""Run one handler once, as the daemon would."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from postroom.plugin import Attachment, Body, Done, Handler, Message, Options, Outcome, Reject, Retry, Skip
from postroom.testing.context import HEADERS, TEXT, FakeContext
from postroom.testing.mail import make_message


async def run_handler(
    handler: type[Handler[Any]],
    options: Mapping[str, Any] | Options | None = None,
    *,
    message: Message | None = None,
    attachments: Sequence[Attachment] = (),
    body: Body | str = TEXT,
    headers: Sequence[tuple[str, str]] = HEADERS,
    mime: bytes | None = None,
    attempt: int = 1,
    context: FakeContext | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - the limit belongs to the handler, as in the configuration
) -> Outcome:
    """Make, open, run and close a handler; return its outcome, `Done()` where it returns nothing.

    `options` are those of the configuration's ``with``; wrong ones raise pydantic's ValidationError. The mail is made
    of `message`, `body` (text when a str), `headers` and `attachments`, and its MIME of these unless `mime` is given.
    With a `context` of your own all of that is taken from it; it stays open, and handed to two runs plays a repeat.

    What the handler raises is raised; TimeoutError when it takes longer than `timeout` seconds, and TypeError when it
    returns something that is no outcome.
    """
    given = options if isinstance(options, Options) else handler.options_type.model_validate(dict(options or {}))
    if context is not None:
        return await _live(handler(given), context, timeout)
    text = Body("text", body) if isinstance(body, str) else body
    mail = message or make_message(has_attachments=bool(attachments))
    async with FakeContext(
        message=mail, files=attachments, text=text, internet_headers=headers, raw=mime, attempt=attempt
    ) as own:
        return await _live(handler(given), own, timeout)


async def _live(handler: Handler[Any], context: FakeContext, seconds: float) -> Outcome:
    try:
        async with asyncio.timeout(seconds):
            await handler.open()
            return legal(await call(handler, context), type(handler).__name__)
    finally:
        await handler.close()


async def call(handler: Handler[Any], context: FakeContext) -> object:
    """Await an async `handle`; run a plain one in a thread."""
    if inspect.iscoroutinefunction(handler.handle):
        return await handler.handle(context.message, context)
    return await asyncio.to_thread(handler.handle, context.message, context)


def legal(answer: object, name: str) -> Outcome:
    """Return the outcome; raises TypeError when `answer` is none."""
    if answer is None:
        return Done()
    if isinstance(answer, Done | Skip | Retry | Reject):
        return answer
    raise TypeError(f"{name}.handle returned a {type(answer).__name__}; it must return Done, Skip, Retry or Reject")
