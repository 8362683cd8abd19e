"""A database that fails says so in our words, keeps nothing by halves, and is used again when it recovers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from postroom.errors import JournalError
from postroom.journal import SqlJournal, open_journal
from postroom.ports import FolderSpec, PageCommit, WatchedFolder


async def pragma(journal: SqlJournal, text: str) -> Any:
    def work(connection: sa.Connection) -> Any:
        result = connection.exec_driver_sql(f"PRAGMA {text}")
        return result.scalar() if result.returns_rows else None

    return await journal.database.read(work)


@pytest.fixture
async def filed(tmp_path: Path, now):
    journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
    (folder,) = await journal.adopt([FolderSpec("default", "a@contoso.example", "Inbox", None)], now)
    yield journal, folder
    await journal.close()


async def test_a_full_disk_is_said_loses_nothing_and_is_over_when_there_is_room_again(
    filed: tuple[SqlJournal, WatchedFolder], make_page: Callable[..., PageCommit], tmp_path: Path
) -> None:
    journal, folder = filed
    await journal.commit_page(make_page(folder, 10, link="kept"))
    await pragma(journal, f"max_page_count = {await pragma(journal, 'page_count')}")
    with pytest.raises(JournalError, match="the disk is full") as caught:
        await journal.commit_page(make_page(folder, 500, first=10, link="lost"))
    assert caught.value.temporary
    assert str(tmp_path / "journal.db") in caught.value.message
    assert caught.value.remedy
    # The connection is made anew after a fault, and with it goes the limit that stood for the full disk.
    assert (await journal.commit_page(make_page(folder, 500, first=10))).fresh == 500


async def test_a_database_that_may_not_be_written_is_said(
    filed: tuple[SqlJournal, WatchedFolder], make_page: Callable[..., PageCommit]
) -> None:
    journal, folder = filed
    await pragma(journal, "query_only = 1")
    with pytest.raises(JournalError, match="may not be written to") as caught:
        await journal.commit_page(make_page(folder, 1))
    assert not caught.value.temporary


async def test_an_error_never_quotes_what_was_to_be_stored(
    filed: tuple[SqlJournal, WatchedFolder], make_page: Callable[..., PageCommit]
) -> None:
    journal, folder = filed
    await journal.commit_page(make_page(folder, 1))
    with pytest.raises(JournalError) as caught:
        await journal.claim_effect(4711, "a confidential key")
    chain = f"{caught.value} {caught.value.__cause__}"
    assert "confidential" not in chain


def locked(path: Path) -> bool:
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        other.close()
    return False


async def test_a_writer_takes_the_lock_before_it_reads_and_a_reader_takes_none(
    filed: tuple[SqlJournal, WatchedFolder], tmp_path: Path
) -> None:
    journal, _ = filed
    assert await journal.database.write(lambda _: locked(tmp_path / "journal.db"))
    assert not await journal.database.read(lambda _: locked(tmp_path / "journal.db"))
