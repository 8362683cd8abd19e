"""What a turn costs does not grow with the backlog: its statements seek in indexes and scan no table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from postroom.journal import SqlJournal, action_claim, claim, deliver, fair, pages, settle, upkeep
from postroom.journal.ids import Ids
from postroom.journal.statement import Prepared, PreparedIn

HOT = {
    "due": claim._DUE,
    "suspects": claim._SUSPECTS,
    "run": claim._RUN,
    "claimed": claim._CLAIMED,
    "walk": fair._WALK,
    "oldest": fair._oldest(4),
    "stand": settle._STAND,
    "done": settle._DONE,
    "due actions": action_claim._DUE,
    "due actions of a mailbox": action_claim._DUE_IN,
    "next mailbox with actions": action_claim._NEXT_MAILBOX,
    "beside a deletion": action_claim._BESIDE,
}


def text_of(statement: Prepared | PreparedIn, connection: Connection) -> str:
    prepared = statement._of_size(2) if isinstance(statement, PreparedIn) else statement
    return prepared._text(connection.dialect)


def explain(connection: Connection, text: str) -> list[str]:
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple([1] * text.count("?")))
    return [row[3] for row in plan]


def scanned(plan: list[str]) -> list[str]:
    return [
        step for step in plan if step.startswith(("SCAN deliveries", "SCAN messages", "SCAN actions", "SCAN other"))
    ]


@pytest.mark.parametrize("name", HOT)
async def test_a_turn_scans_no_table(journal: SqlJournal, name: str) -> None:
    plan = await journal.database.read(lambda connection: explain(connection, text_of(HOT[name], connection)))
    assert scanned(plan) == []


@pytest.mark.parametrize(("table", "ids"), [("messages", pages._IDS), ("deliveries", deliver._IDS)])
async def test_the_ids_of_what_a_page_adds_are_found_at_the_end_of_the_table(
    journal: SqlJournal, table: str, ids: Ids
) -> None:
    plan = await journal.database.read(lambda connection: explain(connection, text_of(ids._last, connection)))
    assert plan == [f"SEARCH {table}"]


async def test_the_next_due_time_is_found_by_seeking(journal: SqlJournal) -> None:
    def plan(connection: Connection) -> list[str]:
        return explain(connection, str(upkeep._NEXT_DUE.compile(connection)))

    assert scanned(await journal.database.read(plan)) == []


async def test_waiting_deliveries_are_found_in_the_index_of_what_is_ready(journal: SqlJournal) -> None:
    def plan(statement: Prepared | PreparedIn) -> Callable[[Connection], list[str]]:
        return lambda connection: explain(connection, text_of(statement, connection))

    assert "deliveries_due (handler=? AND due_at<?)" in str(await journal.database.read(plan(claim._DUE)))
    assert "deliveries_fair (handler=? AND mailbox_id>?)" in str(await journal.database.read(plan(fair._WALK)))
    oldest = await journal.database.read(plan(fair._oldest(1)))
    assert "deliveries_fair (handler=? AND mailbox_id=? AND due_at<?)" in str(oldest)
    assert "ORDER BY" not in str(oldest)
