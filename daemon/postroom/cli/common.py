"""What several commands share: options, loading the configuration, running, and printing. `tables` prints tables."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from postroom import config
from postroom.observe.redact import escape, escape_json
from postroom.registry import HandlerRegistry

T = TypeVar("T")

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="POSTROOM_CONFIG",
    default=Path("/etc/postroom/postroom.yaml"),
    show_default=True,
    show_envvar=True,
    metavar="FILE",
    help="The configuration.",
)

limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most so many, newest first.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def load(path: Path) -> config.Config:
    """Load the configuration with the installed handlers; raises ConfigError with all of its problems."""
    registry = HandlerRegistry.installed()
    return config.load(path, registry.load, registry.names())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end, or to Ctrl-C, which raises KeyboardInterrupt."""
    return asyncio.run(_interruptible(work))


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Let Ctrl-C wake the loop: asyncio's own handler only sets a mark, which a loop about to sleep does not see."""
    if threading.current_thread() is not threading.main_thread():
        return await work
    task, loop, interrupted = asyncio.ensure_future(work), asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        task.cancel()
        loop.remove_signal_handler(signal.SIGINT)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; dates become ISO 8601, what could steer a terminal is escaped."""
    for line in json.dumps(value, indent=2, ensure_ascii=False, default=_as_text).split("\n"):
        click.echo(escape_json(line))


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def echo(text: str) -> None:
    """Print a line on standard output that may hold what a stranger wrote: it is shown, and does nothing."""
    click.echo(escape(text))


def when(moment: datetime) -> str:
    """Say a time in UTC as every table does: ``2026-11-22 13:37:59Z``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def counted(count: int, one: str, many: str) -> str:
    """Say how many in words: ``1 delivery is ready``, ``2 deliveries are ready``."""
    return f"{count} {one if count == 1 else many}"
