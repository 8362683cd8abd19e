"""What must be on the disk before the daemon goes on is there, whoever else works on the journal."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from crash.power import companion, cut
from postroom.errors import JournalError
from postroom.journal import engine, open_journal
from postroom.ports import SendPlan, SendRecord, Windows

PLAN = SendPlan("key", "a@contoso.example")


@pytest.fixture
async def journal(tmp_path):
    opened = await open_journal(f"sqlite:///{tmp_path}/journal.db")
    yield opened
    await opened.close()


@pytest.fixture
async def drafted(journal, now):
    await journal.reserve_send(PLAN, Windows(now, now, now), lambda _: None, now)
    return SendRecord("key", "drafted", now, "AAkDraft", "", now)


@pytest.fixture
def reader(tmp_path, journal):
    """Somebody who has begun to read what the journal held at first."""
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sends").fetchone()
        yield connection


@pytest.fixture
def synced(monkeypatch):
    """Names of the files that were put on the disk by name."""
    names, fsync = [], os.fsync

    def note(descriptor):
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(engine.os, "fsync", note)
    return names


def after_a_power_cut(tmp_path):
    """What a journal knows of the mail that lost all it can lose at this moment."""
    (tmp_path / "cut").mkdir()
    copy = tmp_path / "cut" / "journal.db"
    for source, target in [(tmp_path / "journal.db", copy)] + [
        (companion(tmp_path / "journal.db", kind), companion(copy, kind)) for kind in ("wal", "shm")
    ]:
        shutil.copy(source, target)
    assert cut(copy, Random(0), whole=True) > 0
    with closing(sqlite3.connect(copy)) as database:
        return database.execute("SELECT state, draft_id FROM sends").fetchall()


async def test_a_power_cut_does_not_take_back_that_a_mail_may_have_been_sent(journal, drafted, tmp_path):
    await journal.note_send(drafted)
    await journal.note_send(replace(drafted, state="sent"))  # this may be lost: the draft tells how it stands
    assert after_a_power_cut(tmp_path) == [("drafted", "AAkDraft")]


async def test_what_somebody_reads_meanwhile_keeps_nothing_from_the_disk(journal, reader, drafted, synced):
    await journal.note_send(drafted)
    assert synced == ["journal.db-wal"]


async def test_a_log_that_was_copied_whole_is_not_put_on_the_disk_a_second_time(journal, drafted, synced):
    await journal.note_send(drafted)
    assert synced == []


async def test_a_disk_that_does_not_take_the_log_is_a_failure_of_the_journal(journal, reader, drafted, monkeypatch):
    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(engine.os, "fsync", fail)
    with pytest.raises(JournalError, match="the disk reports an error: Input/output error") as caught:
        await journal.note_send(drafted)
    assert caught.value.temporary
    assert caught.value.remedy
