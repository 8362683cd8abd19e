"""A journal whose file is taken away while it is open refuses whatever it is asked, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.errors import ExitCode, JournalGone
from postroom.journal import SqlJournal, open_journal


async def opened(path: Path) -> SqlJournal:
    return await open_journal(f"sqlite:///{path}")


async def refusal(journal: SqlJournal) -> JournalGone:
    with pytest.raises(JournalGone) as caught:
        await journal.counts()
    return caught.value


async def test_what_is_removed_is_gone_for_readers_and_writers_and_whoever_waits_for_it_hears(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    await journal.counts()
    assert not journal.is_lost
    (tmp_path / "journal.db").unlink()
    error = await refusal(journal)
    assert error.exit_code is ExitCode.JOURNAL
    assert "removed or renamed" in error.message
    with pytest.raises(JournalGone):
        await journal.state_set("handler", "key", "1")
    assert journal.is_lost
    assert "removed or renamed" in (await journal.lost()).message
    await journal.close()


async def test_a_directory_that_is_renamed_or_made_anew_takes_the_journal_with_it(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    journal = await opened(tmp_path / "state" / "journal.db")
    (tmp_path / "state").rename(tmp_path / "old")
    assert "removed or renamed" in (await refusal(journal)).message
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.db").touch()
    assert "another file" in (await refusal(journal)).message
    await journal.close()


async def test_a_link_that_is_turned_to_another_file_is_noticed(tmp_path: Path) -> None:
    link = tmp_path / "journal.db"
    link.symlink_to(tmp_path / "first.db")
    journal = await opened(link)
    await journal.counts()
    (tmp_path / "second.db").touch()
    link.unlink()
    link.symlink_to(tmp_path / "second.db")
    assert "another file" in (await refusal(journal)).message
    await journal.close()


async def test_a_journal_is_new_once(tmp_path: Path) -> None:
    for is_new in (True, False):
        journal = await opened(tmp_path / "journal.db")
        assert journal.is_new is is_new
        await journal.close()
