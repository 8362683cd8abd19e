"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
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


def _narrow(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], under: Collection[str]) -> Group:
    """Lay a table out for a narrow terminal: each row a line, and below it what is in the columns `under`."""
    heads = [number for number, column in enumerate(columns) if column not in under]
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(len(columns[number]), *(row[number].cell_len for row in cells), 0) for number in heads]
    lines = [_line([Text(columns[number], style="bold") for number in heads], widths)]
    for row in cells:
        lines.append(_line([row[number] for number in heads], widths))
        below = [(column, cell) for column, cell in zip(columns, row, strict=True) if column in under and cell]
        lines += [Padding(Text(f"{column}: ", style="dim") + cell.copy(), (0, 0, 0, 4)) for column, cell in below]
    return Group(Text(title, style="table.title"), *lines)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> RenderableType:
    line = Text("  ").join(
        cell + Text(" " * (width - cell.cell_len)) for cell, width in zip(cells, widths, strict=True)
    )
    line.rstrip()
    return line


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, under: Collection[str] = ()
) -> None:
    """Print a table on standard output; where that is no terminal, a row is a line, so that it can be searched.

    Columns in `under` stand below their row where the terminal is too narrow for all, and nothing else is folded then.
    """
    console = Console()
    shown = table(title, columns, rows)
    if console.is_terminal:
        unfolded = console.measure(shown, options=console.options.update(max_width=UNFOLDED)).maximum
        is_narrow = bool(under) and unfolded > console.width
        console.print(_narrow(title, columns, rows, under) if is_narrow else shown)
        return
    console.width, shown.box = UNFOLDED, None
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
