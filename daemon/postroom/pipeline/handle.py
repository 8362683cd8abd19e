"""Run one handler for one delivery under its time limit. Never raises except for cancellation."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from postroom.errors import NotFound, PostroomError
from postroom.model import Delivery, Done, Outcome, Reject, Retry, Skip
from postroom.pipeline.desk import OpenHandler
from postroom.plugin import Context, Handler, Message


async def handle(handler: OpenHandler, delivery: Delivery, context: Context) -> Outcome:
    """Return what the handler made of the mail; a time-out, a crash and a wrong answer are outcomes too."""
    limit = asyncio.timeout(handler.timeout)
    try:
        async with limit:
            answer = await _call(handler.handler, delivery.message, context)
    except TimeoutError as error:
        if limit.expired():
            return Retry(f"TimedOut: no answer within {handler.timeout:g} s")
        return _crashed(error)
    except NotFound as error:
        return Reject(f"The message is gone: {error}")
    except PostroomError as error:
        after = getattr(error, "retry_after", None)
        return Retry(f"{type(error).__name__}: {error}", after=after)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it becomes an outcome
        return _crashed(error)
    return _legal(answer, handler)


async def _call(handler: Handler[Any], message: Message, context: Context) -> object:
    """Await an async `handle`; run a plain one in a thread."""
    if inspect.iscoroutinefunction(handler.handle):
        return await handler.handle(message, context)
    return await asyncio.to_thread(handler.handle, message, context)


def _crashed(error: BaseException) -> Retry:
    """Say which exception was raised and where, without the values it speaks of: they may be a stranger's."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code if frame is not None else None
    where = f" at {code.co_filename}:{frame.tb_lineno} in {code.co_name}" if frame is not None and code else ""
    return Retry(f"Crashed: {type(error).__name__}: {str(error)[:200]}{where}")


def _legal(answer: object, handler: OpenHandler) -> Outcome:
    if answer is None:
        return Done()
    if isinstance(answer, Done | Skip | Retry | Reject):
        return answer
    return Reject(
        f"Misbehaved: {type(handler.handler).__name__}.handle returned a {type(answer).__name__};"
        " it must return Done, Skip, Retry, Reject or nothing"
    )
