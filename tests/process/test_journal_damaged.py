"""A journal whose damage shows only when something is stored: no mail is taken in, the end says what was not kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from support.command import command, daemon
from support.daemon import MAILBOX

RULES = f"mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{handle: gate}}]}}]\n"


def lose_rows_of(index, journal):
    """Leave out of an index what runs, as an older copy's pages would: to end it cannot be stored any more."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as database:
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", [index]).fetchone()
    for text, after in ((sql.partition(" WHERE ")[0] + " WHERE 0", f"REINDEX {index}"), (sql, "SELECT 1")):
        with closing(sqlite3.connect(journal, isolation_level=None)) as database:
            database.execute("PRAGMA writable_schema = ON")
            database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", [text, index])
            (version,) = database.execute("PRAGMA schema_version").fetchone()
            database.execute(f"PRAGMA schema_version = {version + 1}")
        with closing(sqlite3.connect(journal, isolation_level=None)) as database:
            database.execute(after)


async def test_a_journal_that_takes_no_outcomes_takes_no_mail_either_and_all_that_is_asked_says_so(
    configure, deliver, gate, tmp_path
):
    config = configure(f"console: {{listen: 127.0.0.1:0}}\nhandlers: {{gate: {gate.handler}}}\n" + RULES)
    async with daemon(config) as running:
        deliver("one")
        attempt = await gate.attempt()
        lose_rows_of("deliveries_open", tmp_path / "journal.db")
        attempt.answer("done")
        await running.err.event("problem", subject="journal outcomes")
        deliver("two")
        await running.err.event("problem", subject="journal pages")
        health = await command("health", "-c", config, "--json")
        assert (health.code, health.json["status"]) == (1, "failing")
        audit = await command("audit", "-c", config)
        assert audit.code == 74
        assert "cannot be trusted" in audit.err
        assert await running.stopped() == 74
        told = await running.err.event("unstored", deliveries=1)
        assert told["of"] == [f"{MAILBOX} message 1: gate"]
        assert not [each for each in running.err.log if each["event"] == "recovered"]
    assert gate.waiting == 0
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (1,)
