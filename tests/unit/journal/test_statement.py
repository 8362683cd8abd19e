"""Prepared statements take their values in the order they say, and IN lists have few lengths."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, select

from postroom.journal import SqlJournal
from postroom.journal.statement import IN_SIZES, Prepared, PreparedIn
from postroom.journal.tables import handler_state

_NUMBERS = PreparedIn(
    lambda items: select(handler_state.c.key).where(
        handler_state.c.handler == bindparam("handler"), handler_state.c.key.in_(items)
    ),
    before=("handler",),
)


async def test_a_statement_whose_values_come_in_another_order_is_refused(journal: SqlJournal) -> None:
    wrong = Prepared(
        select(handler_state.c.value).where(
            handler_state.c.handler == bindparam("handler"), handler_state.c.key == bindparam("key")
        ),
        "key",
        "handler",
    )
    with pytest.raises(AssertionError, match="takes"):
        await journal.database.read(wrong.rows, "key", "handler")


@pytest.mark.parametrize("count", [0, 1, 3, 50, 51, 499, 500, 501, 1_100])
async def test_a_list_of_any_length_finds_each_row_once(journal: SqlJournal, count: int) -> None:
    keys = [str(number) for number in range(count)]
    for key in keys[:60]:
        await journal.state_set("erp", key, "1")
    found = await journal.database.read(_NUMBERS.rows, keys, "erp")
    assert sorted(key for (key,) in found) == sorted(keys[:60])


def test_no_list_is_longer_than_the_oldest_databases_take() -> None:
    assert max(IN_SIZES) <= 500
    assert list(IN_SIZES) == sorted(IN_SIZES)
