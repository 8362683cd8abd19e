"""The ids of new rows, known before the rows are inserted, so that nobody has to read them again afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, bindparam, func, literal_column, select

from postroom.journal.statement import Prepared


class Ids:
    """Hands out the ids of one table, within the transaction that inserts the rows.

    SQLite would count on from the largest id as well, and lets nobody else write meanwhile. PostgreSQL draws them from
    the table's sequence.
    """

    def __init__(self, table: Table) -> None:
        sequence = func.pg_get_serial_sequence(literal_column(f"'{table.name}'"), literal_column("'id'"))
        numbers = func.generate_series(literal_column("1"), bindparam("count"))
        self._last = Prepared(select(func.max(table.c.id)))
        self._drawn = Prepared(select(func.nextval(sequence)).select_from(numbers), "count")

    def take(self, connection: Connection, count: int) -> Sequence[int]:
        """Return as many ids as there are rows to insert."""
        if connection.dialect.name == "sqlite":
            ((last,),) = self._last.rows(connection)
            return range((last or 0) + 1, (last or 0) + 1 + count)
        return [int(key) for (key,) in self._drawn.rows(connection, count)]
