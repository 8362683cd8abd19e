"""The log: structlog on a fast path of its own, with everybody else's stdlib log lines led into the same output.

A line is one dict. It is redacted, then rendered as JSON (the default when nobody watches) or for a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec

from postroom.errors import PostroomError
from postroom.observe.plain_structlog import FilteringBoundLogger, merge_contextvars, structlog
from postroom.observe.redact import clean, escape, escape_json, field

Format = Literal["auto", "json", "pretty"]
Level = Literal["debug", "info", "warning", "error"]

MOST_FRAMES = 6
MOST_CAUSES = 4

_encode = msgspec.json.Encoder().encode


class Output:
    """Whole lines to a stream, from any thread. A stream that cannot be written costs lines, never the daemon.

    Attributes:
        lost: Lines that could not be written since the last one that could; that one tells their number.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.lost = 0

    def line(self, text: str) -> None:
        """Write one line and flush it."""
        with self._lock:
            before = f'{{"level":"warning","event":"log lines lost","lines":{self.lost}}}\n' if self.lost else ""
            try:
                self._stream.write(f"{before}{text}\n")
                self._stream.flush()
                self.lost = 0
            except (OSError, ValueError):  # a full disk, a reader that left, a stream closed at exit
                self.lost += 1

    debug = info = warning = error = critical = msg = line


def compact(error: BaseException) -> dict[str, str]:
    """Render an exception in two fields: ``error`` (what, with its causes) and ``at`` (innermost frame first)."""
    words: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(words) < MOST_CAUSES:
        words.append(
            str(cause) if isinstance(cause, PostroomError) else f"{type(cause).__name__}: {cause}".rstrip(": ")
        )
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return {"error": " <- ".join(words), "at": _frames(error.__traceback__)}


def _frames(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-MOST_FRAMES:]
    return " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-2:])


def _exception(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        for key, value in compact(error).items():
            line.setdefault(key, value)
    return line


def _line(_: Any, method: str, given: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put time, level and event first, and redact everything, in one pass: this is the cost of a line."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line: dict[str, Any] = {"time": time, "level": method, "event": clean(given.pop("event", ""))}
    for key, value in given.items():
        line[f"{key}_" if key in line else key] = field(key, value)
    return line


def _render_json(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    try:
        text = _encode(line).decode()
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair in a name, a number beyond 64 bits
        text = json.dumps(line)
    return escape_json(text)


def _escape(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = escape(value)
        elif isinstance(value, (dict, list)):
            line[key] = escape(json.dumps(value, ensure_ascii=False))
    return line


def _renderers(stream: TextIO, format: Format) -> list[Callable[..., Any]]:  # noqa: A002 - the word of the config
    terminal = stream.isatty()
    if format == "json" or (format == "auto" and not terminal):
        return [_render_json]
    colors = terminal and "NO_COLOR" not in os.environ
    console = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", sort_keys=False)
    return [_escape, console]


class Foreign(logging.Handler):
    """Leads the log records of libraries into our output; their level is what the root logger lets through."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one of our lines."""
        try:
            fields = {"logger": record.name, "exc_info": record.exc_info}
            self._log.log(record.levelno // 10 * 10, record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - a malformed record of a library must not stop its caller
            self.handleError(record)


def configure(
    level: Level = "info",
    format: Format = "auto",  # noqa: A002 - the word of the config
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """Set the log up and return a logger; may be called again, for another level after a reload.

    ``auto`` is pretty in a terminal and JSON lines elsewhere. Libraries (aiohttp, msal, apscheduler, asyncio,
    Python's warnings) are led into the same output from WARNING up; our own lines never pass through `logging`.
    """
    stream = stream or sys.stderr
    structlog.configure(
        processors=[merge_contextvars, _exception, _line, *_renderers(stream, format)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_factory(Output(stream)),
        cache_logger_on_first_use=False,
    )
    log: FilteringBoundLogger = structlog.get_logger().bind()
    _lead_in(Foreign(log))
    return log


def _factory(output: Output) -> Callable[..., Output]:
    return lambda *_: output


def _lead_in(foreign: Foreign) -> None:
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, Foreign)]:
        root.removeHandler(old)
    root.addHandler(foreign)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
