"""Handlers are opened, and closed again: what all of them need is said at once, with where each stands in the file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from postroom.config import Config, ConfiguredHandler
from postroom.config.problems import Id
from postroom.errors import ConfigError, HandlerError, PostroomError, Problem
from postroom.pipeline.desk import OpenHandler
from postroom.pipeline.limits import at_most
from postroom.ports import Report
from postroom.threads import on_behalf_of

OPEN_LIMIT = 30.0
"""Seconds a handler may take to open, and to close."""

_REMEDY = "Mend what is named with file and line. `postroom check` opens no handler: a start, or a reload, tells."


async def open_handlers(config: Config, report: Report) -> dict[str, OpenHandler]:
    """Open all handlers of a configuration; when some do not open, those that did are closed again.

    Raises:
        ConfigError: One at least says that what it needs is not there, which no waiting mends.
        HandlerError: What failed may be a matter of time: a target that does not answer, an error nobody foresaw.
    """
    opened: dict[str, OpenHandler] = {}
    failed: dict[str, BaseException] = {}
    try:
        for name, each in config.handlers.items():
            try:
                await _open(each, opened)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, and the others have a say too
                failed[name] = error
        if failed:
            _refuse(config, failed)
    except BaseException:
        await close_handlers(opened, report)
        raise
    return opened


async def _open(each: ConfiguredHandler, opened: dict[str, OpenHandler]) -> None:
    handler = each.cls(each.options)
    opened[each.name] = present = OpenHandler(
        each.name, handler, each.retry, each.timeout, each.concurrency, each.breaker
    )
    await at_most(OPEN_LIMIT, on_behalf_of(present, handler.open()))


def _refuse(config: Config, failed: Mapping[str, BaseException]) -> None:
    problems = [_problem(config, config.handlers[name], error) for name, error in failed.items()]
    cause = next(iter(failed.values()))
    if any(isinstance(error, PostroomError) and not error.temporary for error in failed.values()):
        raise ConfigError(problems, remedy=_REMEDY) from cause
    raise HandlerError("; ".join(map(str, problems)), remedy=_REMEDY, handler=", ".join(failed)) from cause


def _problem(config: Config, each: ConfiguredHandler, error: BaseException) -> Problem:
    place = each.place
    return Problem(
        Id.HANDLER_NOT_OPENED,
        "error",
        ".".join(str(part) for part in place.path),
        f"the handler {each.name} ({each.use}) does not open: {_words(error)}",
        str(config.path or ""),
        place.line,
        place.column,
    )


async def close_handlers(handlers: Mapping[str, OpenHandler], report: Report) -> None:
    """Close the handlers, all at once; one that cannot be closed is reported and left."""

    async def close(each: OpenHandler) -> None:
        try:
            await at_most(OPEN_LIMIT, on_behalf_of(each, each.handler.close()))
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and the others must be closed too
            report.event("close_failed", handler=each.name, error=_words(error))
        each.dismiss()

    await asyncio.gather(*(close(each) for each in handlers.values()))


def _words(error: BaseException) -> str:
    if isinstance(error, PostroomError):
        return str(error)
    if isinstance(error, TimeoutError) and not str(error):
        return f"it took longer than {OPEN_LIMIT:.0f} s"
    return f"{type(error).__name__}: {error}".rstrip(": .")
