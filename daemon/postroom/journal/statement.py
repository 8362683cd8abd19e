"""Statements of the hot path: built with Core, compiled once for a dialect, run by the driver with plain tuples.

Core's own execution turns dictionaries into parameters and rows into named tuples, which costs more than SQLite does.
The statements stay Core's, so that both databases have the same ones; only running them is direct.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Executable, Insert, bindparam
from sqlalchemy.engine import Dialect

Values = tuple[Any, ...]
"""A row, or the values for one."""

IN_SIZES: Final = (1, 2, 4, 8, 12, 16, 24, 32, 40, 50, 64, 80, 100, 128, 160, 200, 256, 320, 400, 500)
"""Lengths of IN lists; shorter ones are filled up by repeating a value, so that few texts are ever prepared."""

ROWS_AT_ONCE: Final = 25
"""Rows that one INSERT adds; older SQLites take no more than 999 values in a statement."""


def compile_for(statement: Executable, dialect: Dialect, names: Sequence[str]) -> str:
    """Return the SQL text, having made sure that it takes its values in the order of `names`."""
    if isinstance(statement, Insert):
        statement = statement.inline()  # or else PostgreSQL is asked for the id, behind the last of several rows
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every Executable here is a ClauseElement
    order = compiled.positiontup or []
    if list(order) != list(names):
        raise AssertionError(f"the statement takes {order}, not {list(names)}: {compiled}")
    return str(compiled)


class Prepared:
    """A statement that takes the values called `names`, in this order."""

    def __init__(self, statement: Executable, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._texts: dict[str, str] = {}

    def _text(self, dialect: Dialect) -> str:
        text = self._texts.get(dialect.name)
        if text is None:
            text = self._texts[dialect.name] = compile_for(self._statement, dialect, self._names)
        return text

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it for each of `rows`; not at all for none."""
        if rows:
            with closing(connection.connection.cursor()) as cursor:
                cursor.executemany(self._text(connection.dialect), rows)

    def insert(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run an INSERT with several rows at a time: the driver lets go of the interpreter at each run."""
        if not rows:
            return
        head, word, row = self._text(connection.dialect).partition("VALUES ")
        with closing(connection.connection.cursor()) as cursor:
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = rows[start : start + ROWS_AT_ONCE]
                cursor.execute(f"{head}{word}{', '.join([row] * len(part))}", [*chain.from_iterable(part)])

    def once(self, connection: Connection, *values: Any) -> int:
        """Run it and return how many rows it touched."""
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(self._text(connection.dialect), values)
            return cursor.rowcount

    def rows(self, connection: Connection, *values: Any) -> list[Values]:
        """Run it and return its rows: values in the order of the selected columns."""
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(self._text(connection.dialect), values)
            return list(cursor.fetchall())


class PreparedIn:
    """A statement with an IN list of any length, which `build` makes from the list's parameters.

    Args:
        before: Names of the values that come before the list, in their order.
        after: Names of the values that come after it.
    """

    def __init__(
        self,
        build: Callable[[list[BindParameter[Any]]], Executable],
        before: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
    ) -> None:
        self._build = build
        self._before = before
        self._after = after
        self._sized: dict[int, Prepared] = {}

    def _of_size(self, size: int) -> Prepared:
        prepared = self._sized.get(size)
        if prepared is None:
            items = [f"item_{number}" for number in range(size)]
            statement = self._build([bindparam(item) for item in items])
            prepared = self._sized[size] = Prepared(statement, *self._before, *items, *self._after)
        return prepared

    def rows(self, connection: Connection, items: Sequence[Any], *values: Any) -> list[Values]:
        """Run it, in parts where `items` are many, and return all rows."""
        cut, found = len(self._before), list[Values]()
        for part in _parts(items):
            found.extend(self._of_size(len(part)).rows(connection, *values[:cut], *part, *values[cut:]))
        return found

    def once(self, connection: Connection, items: Sequence[Any], *values: Any) -> int:
        """Run it, in parts where `items` are many, and return how many rows it touched."""
        cut = len(self._before)
        return sum(
            self._of_size(len(part)).once(connection, *values[:cut], *part, *values[cut:]) for part in _parts(items)
        )


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), IN_SIZES[-1]):
        part = items[start : start + IN_SIZES[-1]]
        missing = IN_SIZES[bisect_left(IN_SIZES, len(part))] - len(part)
        yield [*part, *([part[-1]] * missing)] if missing else part
