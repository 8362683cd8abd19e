"""`postroom journal`: how large the journal is, and pruning it now."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from postroom import config
from postroom.cli.common import config_option, counted, json_option, print_json, run_async
from postroom.cli.tables import show_table
from postroom.clock import SystemClock
from postroom.config.units import parse_duration
from postroom.journal import SqlJournal, open_journal
from postroom.pipeline.pruning import prune as steps

T = TypeVar("T")


@click.group()
def journal() -> None:
    """Look at the journal's size; prune it now."""


@journal.command()
@config_option
@json_option
def size(path: Path, *, as_json: bool) -> None:
    """Say how large the journal is, and of how much mail."""
    found = run_async(_with_journal(path, _size))
    if as_json:
        print_json(found)
        return
    rows = [("size", f"{found['bytes'] / 1e6:,.1f} MB"), ("messages", f"{found['messages']:,}")]
    rows += [(f"deliveries {state}", f"{found[f'deliveries.{state}']:,}") for state in ("ready", "running", "dead")]
    show_table("Journal", ("what", "how much"), rows)


async def _size(opened: SqlJournal) -> dict[str, int]:
    return {"bytes": await opened.size(), **await opened.counts()}


def _duration(_context: click.Context, _option: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter("write a number and a unit, such as 30d or 12h") from error


@journal.command()
@config_option
@click.option(
    "--older-than",
    default="30d",
    show_default=True,
    metavar="DURATION",
    callback=_duration,
    help="Only of mail whose last delivery was settled longer ago.",
)
def prune(path: Path, older_than: float) -> None:
    """Drop the details of mail that was settled long ago: subject, sender, preview, notes, attempts.

    That it was handled is still known. A running daemon does it by itself, as `retention` in the configuration says;
    the command may run beside it. The room is used again, the file does not get smaller.
    """
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    count = run_async(_with_journal(path, lambda opened: _prune(opened, before)))
    click.echo(f"{counted(count, 'message was', 'messages were')} pruned.")


async def _prune(opened: SqlJournal, before: datetime) -> int:
    """Prune all there is, at the daemon's pace: one that runs beside this wants to write as well."""
    return sum([step.count async for step in steps(opened, before, clock=SystemClock())])


async def _with_journal(path: Path, use: Callable[[SqlJournal], Coroutine[Any, Any, T]]) -> T:
    """Open the journal of the configuration at `path` beside a running daemon, use it, and close it."""
    opened = await open_journal(config.load_journal(path), exclusive=False)
    try:
        return await use(opened)
    finally:
        await opened.close()
