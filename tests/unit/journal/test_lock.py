"""The lock remembers that there was a journal: no start takes an empty file, or none, for it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from crash.power import companion, cut
from postroom.errors import ExitCode, JournalError
from postroom.journal import lock, open_journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def begin(path):
    """Start and stop."""
    journal = await open_journal(f"sqlite:///{path}")
    await journal.close()
    return journal


def empty(path):
    path.write_bytes(b"")


def without_tables(path):
    """Make it what SQLite makes of an empty file that is to have a log, or what a power cut leaves of a first start."""
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")


def with_other_tables(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE minutes (text TEXT)")


@pytest.mark.parametrize("spoil", [empty, without_tables, with_other_tables])
async def test_a_file_without_a_journal_in_it_is_not_taken_for_the_one_that_was_there(path, spoil):
    await begin(path)
    spoil(path)
    for _ in range(2):
        with pytest.raises(JournalError, match="is empty, and it was not") as caught:
            await begin(path)
        assert caught.value.exit_code is ExitCode.JOURNAL
        assert f"remove it and {path}.lock" in caught.value.remedy
    path.unlink()
    path.with_name("journal.db.lock").unlink()
    assert (await begin(path)).is_new


async def test_an_empty_file_is_left_as_it_is_with_the_log_beside_it(path):
    await begin(path)
    empty(path)
    companion(path, "wal").write_bytes(b"what may still be saved")
    with pytest.raises(JournalError):
        await begin(path)
    assert path.stat().st_size == 0
    assert companion(path, "wal").read_bytes() == b"what may still be saved"


async def test_a_start_on_a_full_disk_does_not_forget_that_there_was_a_journal(path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    await begin(path)
    with monkeypatch.context() as full:
        full.setattr(lock.os, "pwrite", fail)
        await begin(path)
    path.unlink()
    with pytest.raises(JournalError, match="is gone, and it was there"):
        await begin(path)


async def test_the_mark_of_a_journal_is_on_the_disk_after_what_it_stands_for(path, monkeypatch):
    names, fsync, note_journal = [], os.fsync, lock.FileLock.note_journal

    def note(held):
        for kind in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{kind}", f"{path}.cut{kind}")
        note_journal(held)

    def noting(descriptor):
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(lock.FileLock, "note_journal", note)
    monkeypatch.setattr(lock.os, "fsync", noting)
    await begin(path)
    assert names == ["journal.db.lock", path.parent.name]
    copy = Path(f"{path}.cut")
    cut(copy, Random(0), whole=True)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM journal_version").fetchone() == (1,)


async def leave_a_log(path, saved):
    """Stop as if killed: what is committed is in the log, and not yet in the file."""
    journal = await open_journal(f"sqlite:///{path}")
    for kind in ("", "-wal"):
        shutil.copy(f"{path}{kind}", f"{saved}{kind}")
    await journal.close()
    shutil.copyfile(saved, path)  # the same file as before
    shutil.copy(f"{saved}-wal", f"{path}-wal")


async def test_a_start_with_the_log_of_the_journal_that_was_killed_goes_on(path, tmp_path):
    await leave_a_log(path, tmp_path / "saved")
    assert not (await begin(path)).is_new


async def test_a_copy_put_in_place_beside_the_log_of_another_is_refused_before_one_spoils_the_other(path, tmp_path):
    await leave_a_log(path, tmp_path / "saved")
    path.rename(tmp_path / "away.db")
    shutil.copy(tmp_path / "saved", path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(JournalError, match=r"is not the file that journal\.db-wal was written for") as caught:
            await begin(path)
        assert caught.value.exit_code is ExitCode.JOURNAL
        assert "remove journal.db-wal and journal.db-shm" in caught.value.remedy
    assert path.read_bytes() == before
    companion(path, "wal").unlink()
    await begin(path)
    await begin(path)


async def test_a_journal_that_was_moved_with_its_log_is_taken_once_the_lock_is_removed(path, tmp_path):
    await leave_a_log(path, tmp_path / "saved")
    path.rename(tmp_path / "away.db")
    shutil.copy(tmp_path / "saved", path)
    with pytest.raises(JournalError) as caught:
        await begin(path)
    assert "remove journal.db.lock instead" in caught.value.remedy
    path.with_name("journal.db.lock").unlink()
    assert not (await begin(path)).is_new


@pytest.mark.parametrize("before", ["4711\njournal\n", "4711      \njournal\n", "4711\n", ""])
async def test_a_lock_that_does_not_say_which_file_it_was_refuses_none(path, tmp_path, before):
    await leave_a_log(path, tmp_path / "saved")
    path.with_name("journal.db.lock").write_text(before)
    await begin(path)
    assert path.with_name("journal.db.lock").read_text().splitlines()[1].strip() == "journal"


async def test_a_journal_under_two_names_is_refused_for_each_would_have_a_lock_of_its_own(path, tmp_path):
    await begin(path)
    (tmp_path / "other.db").hardlink_to(path)
    for name in (path, tmp_path / "other.db"):
        with pytest.raises(JournalError, match="hard link") as caught:
            await begin(name)
        assert caught.value.exit_code is ExitCode.JOURNAL
    (tmp_path / "other.db").unlink()
    await begin(path)


async def test_which_file_a_restored_journal_is_stands_on_the_disk_before_it_has_a_log(path, tmp_path, monkeypatch):
    await begin(path)
    path.rename(tmp_path / "away.db")
    shutil.copy(tmp_path / "away.db", path)
    synced, fsync = [], os.fsync

    def noting(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, companion(path, "wal").exists()))
        fsync(descriptor)

    monkeypatch.setattr(lock.os, "fsync", noting)
    for _ in range(2):
        await begin(path)
    assert synced == [("journal.db.lock", False), (path.parent.name, False)], "and only when it has changed"
