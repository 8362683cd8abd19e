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
from sqlalchemy import text

from crash.power import companion, cut
from postroom.errors import JournalError
from postroom.journal import JournalViews, engine, open_journal
from postroom.model import Delete, MarkRead, Message, MoveTo
from postroom.ports import (
    ActionResult,
    FolderSpec,
    MatchedRule,
    NewMessage,
    PageCommit,
    SendPlan,
    SendRecord,
    Windows,
)

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
def asked_for(journal, now):
    """Return what takes a mail in that one rule has these mail actions for, and another rule a handler."""

    async def commit(*actions):
        (inbox,) = await journal.adopt([FolderSpec("default", "a@contoso.example", "Inbox", None)], now)
        mail = Message(id="AAkMail", mailbox=inbox.mailbox, folder="Inbox", received_at=now)
        rules = (MatchedRule("file", (), actions), MatchedRule("erp", ("erp",)))
        await journal.commit_page(PageCommit(inbox.key, [NewMessage(mail, rules)], "link", "round", now))

    return commit


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


def after_a_power_cut(tmp_path, query):
    """What a journal answers that lost all it can lose at this moment."""
    (tmp_path / "cut").mkdir()
    copy = tmp_path / "cut" / "journal.db"
    for source, target in [(tmp_path / "journal.db", copy)] + [
        (companion(tmp_path / "journal.db", kind), companion(copy, kind)) for kind in ("wal", "shm")
    ]:
        shutil.copy(source, target)
    assert cut(copy, Random(0), whole=True) > 0
    with closing(sqlite3.connect(copy)) as database:
        return database.execute(query).fetchall()


async def test_a_power_cut_does_not_take_back_that_a_mail_may_have_been_sent(journal, drafted, tmp_path):
    await journal.note_send(drafted)
    await journal.note_send(replace(drafted, state="sent"))  # this may be lost: the draft tells how it stands
    assert after_a_power_cut(tmp_path, "SELECT state, draft_id FROM sends") == [("drafted", "AAkDraft")]


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


@pytest.mark.parametrize("away", [MoveTo("Processed"), Delete()])
async def test_a_power_cut_does_not_take_back_a_mail_that_is_about_to_leave_its_folder(
    journal, asked_for, away, now, tmp_path
):
    await asked_for(MarkRead(), away)
    (claimed,) = await journal.claim_actions(9, now)
    await journal.settle_actions([ActionResult(claimed, "done", now)])  # this may be lost: it is carried out again
    assert after_a_power_cut(tmp_path, "SELECT handler, state FROM deliveries") == [("erp", "ready")]


async def test_what_leaves_a_mail_where_it_is_does_not_wait_for_the_disk(journal, asked_for, reader, synced, now):
    await asked_for(MarkRead())
    synced.clear()
    assert await journal.claim_actions(9, now)
    assert synced == []


async def test_mail_actions_that_the_disk_kept_waiting_are_claimed_once_it_has_them(
    journal, asked_for, reader, now, monkeypatch
):
    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    await asked_for(MoveTo("Processed"))
    with monkeypatch.context() as failing:
        failing.setattr(engine.os, "fsync", fail)
        with pytest.raises(JournalError):
            await journal.claim_actions(9, now)
    assert [task.actions for task in await journal.claim_actions(9, now)] == [(MoveTo("Processed"),)]
    assert await journal.claim_actions(9, now) == []


@pytest.mark.parametrize(
    "promise",
    [
        (lambda journal: journal.claim_effect(1, "mailed"), ("mailed", "")),
        (lambda journal: journal.state_add("erp", "number", 1), ("number", "1")),
        (lambda journal: journal.state_set("erp", "last", "7"), ("last", "7")),
    ],
    ids=["once", "add", "set"],
)
async def test_a_power_cut_does_not_take_back_what_a_handler_was_promised(journal, asked_for, now, tmp_path, promise):
    make, kept = promise
    await asked_for(MarkRead())
    await make(journal)
    await journal.claim_actions(9, now)  # this may be lost
    query = "SELECT key, '' FROM effects UNION SELECT key, value FROM handler_state"
    assert after_a_power_cut(tmp_path, query) == [kept]


async def test_an_effect_that_was_claimed_before_does_not_wait_for_the_disk(journal, asked_for, reader, synced):
    await asked_for()
    assert await journal.claim_effect(1, "mailed")
    assert synced.pop() == "journal.db-wal"
    synced.clear()
    assert not await journal.claim_effect(1, "mailed")
    assert synced == []


@pytest.fixture
def say(journal, asked_for, now, tmp_path):
    """Return what says an operator's word on a delivery and a mail action that both are in a state."""

    async def say(state, word):
        await asked_for(MarkRead())
        for table in ("deliveries", "actions"):
            change = text(f"UPDATE {table} SET state = '{state}'")
            await journal.database.write(lambda connection, change=change: connection.execute(change))
        beside = await open_journal(f"sqlite:///{tmp_path}/journal.db", exclusive=False)  # as the command line does
        try:
            assert await word(JournalViews(beside), now)
        finally:
            await beside.close()
        await journal.reconciled(1, now)  # this may be lost

    return say


@pytest.mark.parametrize(
    ("was", "word", "states"),
    [
        ("dead", lambda views, at: views.retry([1], at), ("ready", "ready")),
        ("dead", lambda views, at: views.retry_dead(at), ("ready", "ready")),
        ("dead", lambda views, at: views.retry_actions([1], at), ("dead", "ready")),
        ("dead", lambda views, at: views.discard([1], "paid by hand", at), ("discarded", "dead")),
        ("dead", lambda views, at: views.discard_actions([1], "moved by hand", at), ("dead", "discarded")),
        ("ready", lambda views, at: views.discard_waiting("erp", "", "enough", at), ("discarded", "ready")),
    ],
    ids=["retry", "retry_dead", "retry_actions", "discard", "discard_actions", "discard_waiting"],
)
async def test_a_power_cut_does_not_take_back_an_operators_word(say, tmp_path, was, word, states):
    await say(was, word)
    assert after_a_power_cut(tmp_path, "SELECT d.state, a.state FROM deliveries d, actions a") == [states]
