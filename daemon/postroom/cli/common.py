"""What several commands share: finding and loading the configuration, printing tables and JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from postroom import config
from postroom.journal import JournalViews, open_journal
from postroom.model import DeliveryState
from postroom.registry import HandlerRegistry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

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

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def load(path: Path) -> config.Config:
    """Load the configuration with the installed handlers; raises ConfigError with all of its problems."""
    registry = HandlerRegistry.installed()
    return config.load(path, registry.load, registry.names())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    return asyncio.run(work)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; dates become ISO 8601."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Make a table of plain text: what strangers wrote is never read as markup."""
    made = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output."""
    Console().print(table(title, columns, rows))


async def with_views(path: Path, use: Callable[[JournalViews], Coroutine[Any, Any, T]]) -> T:
    """Open the journal of the configuration at `path` beside a running daemon, use it, and close it."""
    journal = await open_journal(load(path).journal, exclusive=False)
    try:
        return await use(JournalViews(journal))
    finally:
        await journal.close()


def state_option(command: F) -> F:
    """Add `--state` and its short form `--dead`."""
    states = click.Choice([state.value for state in DeliveryState])
    dead = click.option("--dead", "state", flag_value=DeliveryState.DEAD.value, help="Short for --state dead.")
    option = click.option("--state", type=states, default=None, help="Only with a delivery in this state.")
    return option(dead(command))
