"""A journal that is taken away from under the daemon: it ends and says so, and two never work beside each other."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from support.command import command, daemon
from support.daemon import MAILBOX

RULES = f"mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{handle: log}}]}}]\n"


@pytest.fixture
def in_state(configure, tmp_path):
    """Return a way to write a configuration whose journal is in the directory `state`."""
    (tmp_path / "state").mkdir()

    def write(text=RULES):
        path = configure(text)
        path.write_text(path.read_text().replace("sqlite:///journal.db", "sqlite:///state/journal.db"))
        return path

    return write


async def test_a_journal_that_is_removed_ends_the_daemon_with_74_before_another_mail_is_handled(
    in_state, deliver, tmp_path
):
    async with daemon(in_state()) as running:
        deliver("before")
        await running.err.event("round", fresh=1)
        shutil.rmtree(tmp_path / "state")
        seen = len(running.err.lines)
        deliver("after")
        told = await running.err.event("problem", subject="journal")
        assert "is gone" in told["what"]
        assert "new, empty journal" in told["remedy"]
        assert await running.ended() == 74
        after = running.err.log[seen:]
    assert not [each for each in after if each["event"] in {"round", "delivery"}]
    assert [each["subject"] for each in after if each["event"] == "problem"] == ["journal"], "one cause is one problem"


async def test_a_start_makes_no_new_journal_where_one_has_gone_missing(in_state, deliver, tmp_path):
    config = in_state()
    journal = tmp_path / "state" / "journal.db"
    async with daemon(config) as running:
        deliver("before")
        await running.err.event("round", fresh=1)
        assert await running.stopped() == 0
    journal.rename(tmp_path / "elsewhere.db")
    refused = await command("run", "-c", config)
    assert refused.code == 74
    assert f"The journal {journal} is gone" in refused.err
    assert "journal.db.lock" in refused.err
    assert not journal.exists()
    (tmp_path / "elsewhere.db").rename(journal)
    async with daemon(config) as running:
        assert await running.stopped() == 0


@pytest.mark.slow  # a look each 15 seconds
async def test_an_idle_daemon_notices_within_its_next_look_that_its_journal_is_another_file(in_state, tmp_path):
    async with daemon(in_state()) as running:
        journal = tmp_path / "state" / "journal.db"
        shutil.copy(journal, tmp_path / "copy.db")
        (tmp_path / "copy.db").replace(journal)
        told = await running.err.event("problem", subject="journal")
        assert "another file" in told["what"]
        assert await running.ended() == 74


async def test_a_lock_that_is_removed_ends_the_daemon_and_the_next_start_goes_on_with_the_journal(
    in_state, deliver, tmp_path
):
    config = in_state()
    async with daemon(config) as running:
        deliver("first")
        await running.err.event("round", fresh=1)
        (tmp_path / "state" / "journal.db.lock").unlink()
        deliver("unseen")
        told = await running.err.event("problem", subject="journal")
        assert "Nothing is lost" in told["remedy"]
        assert await running.ended() == 74
    async with daemon(config) as running:
        assert not [each for each in running.err.log if each["event"] == "journal_new"]
        await running.err.event("round", fresh=1)
        deliver("third")
        await running.err.event("round", fresh=1, after=len(running.err.lines))
        assert await running.stopped() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as database:
        assert database.execute("SELECT count(*) FROM deliveries").fetchone() == (3,)


async def test_what_runs_when_the_journal_goes_may_end_and_nothing_that_waits_is_begun(
    in_state, deliver, gate, tmp_path
):
    config = in_state(f"handlers: {{gate: {gate.handler}}}\n" + RULES.replace("log", "gate"))
    async with daemon(config) as running:
        deliver("one")
        attempt = await gate.attempt()
        shutil.rmtree(tmp_path / "state")
        deliver("two")
        await running.err.event("problem", subject="journal")
        attempt.answer("done")
        assert await running.ended(limit=4.0) == 74
    assert gate.waiting == 0


async def test_a_start_that_makes_a_new_journal_says_so_once_and_what_becomes_of_older_mail(in_state, tmp_path):
    config = in_state()
    async with daemon(config) as running:
        told = await running.err.event("journal_new")
        assert told["journal"] == str(tmp_path / "state" / "journal.db")
        assert "`start`" in told["note"]
        assert await running.stopped() == 0
    async with daemon(config) as running:
        assert await running.stopped() == 0
        assert "journal_new" not in running.err.text


async def test_a_second_daemon_that_begins_where_the_journal_was_is_soon_alone_and_unharmed(
    in_state, deliver, gate, tmp_path
):
    config = in_state(f"handlers: {{gate: {gate.handler}}}\n" + RULES.replace("log", "gate"))
    async with daemon(config) as first:
        shutil.rmtree(tmp_path / "state")
        (tmp_path / "state").mkdir()
        async with daemon(config) as second:
            deliver("one")
            (await gate.attempt()).answer("done")
            await second.err.event("round", fresh=1)
            assert await first.ended() == 74
            deliver("two")
            attempt = await gate.attempt()
            assert attempt.subject == "two"
            attempt.answer("done")
            assert await second.stopped() == 0
        assert not [each for each in first.err.log if each["event"] == "round" and each.get("fresh")]
    assert gate.waiting == 0
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall() == [("done", 2)]
