"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from postroom.cli.common import when
from postroom.observe.redact import escape

UNFOLDED = 1_000
"""Columns of a table that is not for a terminal."""


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
