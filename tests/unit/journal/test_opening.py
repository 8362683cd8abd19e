"""A journal that cannot be opened says what is wrong, where, and what to do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postroom.errors import ExitCode, JournalError, JournalLocked
from postroom.journal import open_journal

HOLDER = """
import asyncio, sys
from postroom.journal import open_journal

async def hold():
    journal = await open_journal(sys.argv[1])
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await journal.close()

asyncio.run(hold())
"""


async def refusal(url: str, *, exclusive: bool = True) -> JournalError:
    with pytest.raises(JournalError) as caught:
        await open_journal(url, exclusive=exclusive)
    return caught.value


@asynccontextmanager
async def held_elsewhere(path: Path) -> AsyncIterator[int]:
    """Hold the journal in another process; yields its pid."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        f"sqlite:///{path}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "daemon")},
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    yield holder.pid
    await holder.communicate(b"")


def modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def test_a_journal_held_by_another_process_is_refused_with_its_path_and_pid(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with held_elsewhere(path) as pid:
        error = await refusal(f"sqlite:///{path}")
    assert isinstance(error, JournalLocked)
    assert error.exit_code is ExitCode.LOCKED
    assert str(path) in error.message
    assert str(pid) in error.message
    assert error.remedy
    again = await open_journal(f"sqlite:///{path}")
    await again.close()


async def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    error = await refusal(f"sqlite:///{tmp_path}/missing/journal.db")
    assert f"{tmp_path}/missing does not exist" in error.message
    assert error.remedy


async def test_a_directory_where_the_file_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    error = await refusal(f"sqlite:///{tmp_path}/journal.db")
    assert "cannot be opened" in error.message


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("minutes of the meeting\n" * 100)
    error = await refusal(f"sqlite:///{path}")
    assert "not a SQLite database" in error.message
    assert str(path) in error.message
    assert error.remedy
    assert path.read_text().startswith("minutes")


async def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE messages (text)")
    other.close()
    error = await refusal(f"sqlite:///{path}")
    assert "not a journal" in error.message
    assert "messages" in error.message


async def test_looking_on_creates_nothing(tmp_path: Path) -> None:
    error = await refusal(f"sqlite:///{tmp_path}/journal.db", exclusive=False)
    assert f"no journal at {tmp_path}/journal.db" in error.message
    assert modes(tmp_path) == {}


async def test_looking_on_makes_no_schema(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    error = await refusal(f"sqlite:///{tmp_path}/journal.db", exclusive=False)
    assert "is empty" in error.message
    assert "Start the daemon once" in error.remedy


@pytest.mark.parametrize("url", ["journal.db", "mysql://host/journal", ""])
async def test_a_url_of_no_database_we_work_with_is_refused_with_an_example(url: str) -> None:
    error = await refusal(url)
    assert "sqlite:////" in error.remedy


async def test_a_password_in_the_url_is_not_shown() -> None:
    error = await refusal("postgresql://someone:hunter2@127.0.0.1:1/journal")
    assert "hunter2" not in str(error)


async def test_strangers_cannot_read_the_file_that_holds_mail(tmp_path: Path) -> None:
    journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
    try:
        found = modes(tmp_path)
    finally:
        await journal.close()
    assert {"journal.db", "journal.db-wal", "journal.db.lock"} <= set(found)
    assert {mode & 0o007 for mode in found.values()} == {0}


async def test_a_failed_opening_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("minutes of the meeting\n" * 100)
    await refusal(f"sqlite:///{path}")
    path.unlink()
    journal = await open_journal(f"sqlite:///{path}")
    await journal.close()


@pytest.mark.parametrize("link", ["journal", "directory"])
async def test_a_journal_reached_through_a_symbolic_link_has_the_same_lock(tmp_path: Path, link: str) -> None:
    real = tmp_path / "real"
    real.mkdir()
    journal = await open_journal(f"sqlite:///{real}/journal.db")
    if link == "journal":
        (tmp_path / "other.db").symlink_to(real / "journal.db")
        path = tmp_path / "other.db"
    else:
        (tmp_path / "link").symlink_to(real)
        path = tmp_path / "link" / "journal.db"

    try:
        assert isinstance(await refusal(f"sqlite:///{path}"), JournalLocked)
    finally:
        await journal.close()


@pytest.mark.parametrize("exclusive", [True, False], ids=["the daemon", "the command line"])
async def test_the_disk_is_waited_for_before_the_log_is_copied_into_the_file(
    tmp_path: Path, *, exclusive: bool
) -> None:
    """SQLite's `synchronous = NORMAL`; with OFF a power cut could damage the file, and nothing would be synced."""
    url = f"sqlite:///{tmp_path}/journal.db"
    journal = await open_journal(url)
    beside = await open_journal(url, exclusive=False)
    try:
        asked = journal if exclusive else beside
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 1)):
            assert await asked.database.read(lambda c, p=pragma: c.exec_driver_sql(f"PRAGMA {p}").scalar()) == value
    finally:
        await beside.close()
        await journal.close()
