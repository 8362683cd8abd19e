"""What several commands share: finding and loading the configuration, printing tables and JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from postroom import config
from postroom.errors import PostroomError
from postroom.journal import JournalViews, open_journal
from postroom.journal.records import ActionRecord, DeliveryRecord, MessageDetail
from postroom.model import DeliveryState
from postroom.observe.redact import escape, escape_json
from postroom.registry import HandlerRegistry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

UNFOLDED = 1_000
"""Columns of a table that is not for a terminal."""

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


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Make a table of plain text: what strangers wrote is never read as markup, and steers no terminal."""
    made = Table(title=_plain(title), title_justify="left", header_style="bold", expand=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*map(_plain, row))
    return made


def _plain(cell: object) -> Text:
    if isinstance(cell, datetime):
        cell = when(cell)
    return Text("" if cell is None else escape(str(cell)))


def when(moment: datetime) -> str:
    """Say a time in UTC as every table does: ``2026-11-22 13:37:59Z``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def last_words(record: DeliveryRecord | ActionRecord) -> str:
    """Return what was last said of it: why it is held or was given up stands over the error that led there."""
    if isinstance(record, DeliveryRecord) and record.held:
        return f"held: {record.held}"
    given_up = record.state == DeliveryState.DISCARDED
    return record.note if given_up and record.note else record.error or record.note


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; where that is no terminal, a row is a line, so that it can be searched."""
    console = Console()
    shown = table(title, columns, rows)
    if console.is_terminal:
        console.print(shown)
        return
    console.width, shown.box = UNFOLDED, None
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def counted(count: int, one: str, many: str) -> str:
    """Say how many in words: ``1 delivery is ready``, ``2 deliveries are ready``."""
    return f"{count} {one if count == 1 else many}"


async def with_views(path: Path, use: Callable[[JournalViews], Coroutine[Any, Any, T]]) -> T:
    """Open the journal of the configuration at `path` beside a running daemon, use it, and close it.

    Nothing else of the configuration need be right: dead letters are looked at when something is wrong.
    """
    journal = await open_journal(config.load_journal(path), exclusive=False)
    try:
        return await use(JournalViews(journal))
    finally:
        await journal.close()


def find_messages(path: Path, key: str) -> list[MessageDetail]:
    """Return the messages that `key` names: an id here, Graph's id or a Message-ID; raises PostroomError for none."""
    found = run_async(with_views(path, lambda views: views.find(key)))
    if not found:
        raise PostroomError(
            f"The journal has no message {key!r}.",
            remedy="Give the id that `postroom messages list` shows, Graph's id, or the Message-ID of the mail.",
        )
    return found


def _state(_context: click.Context, _option: click.Parameter, value: str | None) -> DeliveryState | None:
    return None if value is None else DeliveryState(value)


def state_option(command: F) -> F:
    """Add `--state` and its short form `--dead`; the command's `state` is a `DeliveryState` or None."""
    states = click.Choice([state.value for state in DeliveryState])
    only = click.option(
        "--state",
        type=states,
        default=None,
        callback=_state,
        help="Only in this state; messages: a delivery of theirs, or mail actions.",
    )
    dead = click.option(
        "--dead", "state", flag_value=DeliveryState.DEAD.value, callback=_state, help="Short for --state dead."
    )
    return only(dead(command))
