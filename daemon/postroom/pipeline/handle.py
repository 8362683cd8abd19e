"""Run one handler for one delivery under its time limit. Never raises except for cancellation."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from postroom.errors import GraphError, NotFound, PostroomError, Refused
from postroom.model import Delivery, Outcome, Reject, Retry
from postroom.pipeline.desk import OpenHandler
from postroom.pipeline.legal import fault_of
from postroom.pipeline.limits import is_being_cancelled
from postroom.pipeline.patience import Patience
from postroom.pipeline.settle import DONE, back_off
from postroom.plugin import Context
from postroom.threads import in_thread

GONE_AFTER = 3
"""Attempts after which a message that Graph does not find is taken for gone: fresh mail has been seen to answer 404."""

LONGEST_CRASH = 200
"""Characters of a foreign exception's text that are kept: it may quote a stranger."""

HOPELESS = frozenset({"MessageTooLarge", "ErrorCorruptData"})
"""Codes of what no further attempt changes: a mail that is too large to be read whole, or that Exchange cannot read."""


async def handle(
    handler: OpenHandler, delivery: Delivery, context: Context, waits: Callable[[], None] = lambda: None
) -> Outcome:
    """Return what the handler made of the mail; a time-out, a crash and a wrong answer are outcomes too.

    `waits` is called when the handler cannot go on at once, the first time.
    """
    patience: Patience | None = None
    try:
        work = _work(handler, delivery, context)
        try:
            awaited = work.send(None)
        except StopIteration as end:  # most handlers are done at once: nothing is made for those
            return _legal(end.value, handler)
        patience = Patience(handler.timeout, waits)
        answer = await patience.run(work, awaited)
    except asyncio.CancelledError as error:
        # Something the handler waited for was cancelled, not the attempt: an outcome like any other failure.
        if is_being_cancelled():
            raise
        return crashed(error)
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, a panic too; it becomes an outcome
        if patience is not None and patience.is_over:
            return Retry(f"TimedOut: no answer within {handler.timeout:g} s")
        return _failed(error, handler, delivery)
    return _legal(answer, handler)


def _work(handler: OpenHandler, delivery: Delivery, context: Context) -> Coroutine[Any, Any, object]:
    """Return what is to be awaited: an async `handle` itself, a plain one in a thread."""
    if handler.threaded:
        return _in_thread(handler, delivery, context)
    return cast("Coroutine[Any, Any, object]", handler.handler.handle(delivery.message, context))


async def _in_thread(handler: OpenHandler, delivery: Delivery, context: Context) -> object:
    abandoned = partial(handler.strand, delivery.id)
    answer = await in_thread(handler.handler.handle, delivery.message, context, abandoned=abandoned)
    return await answer if inspect.isawaitable(answer) else answer


def _failed(error: BaseException, handler: OpenHandler, delivery: Delivery) -> Outcome:
    """Turn what a handler raised into an outcome; of a group, its first error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    attempt = delivery.attempt - delivery.granted
    if isinstance(error, Refused) and error.code in HOPELESS:
        return Reject(f"{type(error).__name__}: {error}")
    if isinstance(error, NotFound) and attempt >= GONE_AFTER:
        return Reject(f"The message is gone: {error}")
    if isinstance(error, GraphError) and error.retry_after is not None:
        # Graph names the least time; waiting no longer than that would use the attempts up within one outage.
        least = back_off(handler.retry, attempt, lambda: 0.5)
        return Retry(f"{type(error).__name__}: {error}", after=max(error.retry_after, least))
    if isinstance(error, PostroomError):
        return Retry(f"{type(error).__name__}: {error}")
    return crashed(error)


def crashed(error: BaseException) -> Retry:
    """Say which exception was raised and where; its text is cut short, for it may quote a stranger."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code if frame is not None else None
    where = f" at {code.co_filename}:{frame.tb_lineno} in {code.co_name}" if frame is not None and code else ""
    return Retry(f"Crashed: {type(error).__name__}: {_text(error)}{where}")


def for_the_log(error: str) -> str:
    """Leave out what a foreign exception says: it may quote a mail. The journal keeps it, for the operator alone."""
    return _CRASH.sub(r"\1\2", error)


_CRASH = re.compile(r"(Crashed: \w+): .*?( at \S+:\d+ in \S+)?\Z", re.DOTALL)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_CRASH]
    except BaseException:  # noqa: BLE001 - a foreign exception that cannot be shown; its name says what there is to say
        return "(its text cannot be shown)"


def _legal(answer: object, handler: OpenHandler) -> Outcome:
    if answer is None:
        return DONE
    if fault := fault_of(answer):
        return Reject(f"Misbehaved: {type(handler.handler).__name__}.handle returned {fault}")
    return cast("Outcome", answer)
