"""Disks that are full, read-only, damaged or gone: said with a remedy, mended by itself where that is possible."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from support.account import nothing_is_unaccounted
from support.command import command, daemon, postroom
from support.daemon import MAILBOX, load_config, mail, run_daemon
from support.disk import SmallDisk
from support.process import LEDGER_HANDLER, LedgerServer

pytestmark = pytest.mark.slow

SIZE = "48m"
"""More than the journal's write-ahead log becomes before it is copied."""
RULES = f"mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{handle: log}}]}}]\n"


@pytest.fixture
async def disk(tmp_path):
    async with SmallDisk(tmp_path / "disk", SIZE) as mounted:
        yield mounted


@pytest.fixture
async def ledger(tmp_path):
    (tmp_path / "ledger.py").write_text(LEDGER_HANDLER)
    async with LedgerServer(tmp_path / "ledger.sock") as server:
        yield server


@pytest.fixture
def on_disk(configure, tmp_path):
    """Return a way to write a configuration whose journal is on the small disk."""

    def write(text=RULES):
        path = configure(text)
        path.write_text(path.read_text().replace("sqlite:///journal.db", "sqlite:///disk/journal.db"))
        return path

    return write


def with_ledger(ledger):
    return (
        f'handlers: {{ledger: {{use: "./ledger.py:Ledger", with: {{address: {ledger.address}}}}}}}\n'
        + RULES.replace("log", "ledger")
    )


def sent(tenant, count, *, first=0):
    """Send so many mails and return their ids."""
    mailbox = tenant.state.mailbox(MAILBOX)
    numbers = range(first, first + count)
    return {mailbox.immutable_id(tenant.state.deliver_mime(MAILBOX, mail(f"mail {n}"))) for n in numbers}


def states(journal):
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))


async def all_is_accounted_for(config, count):
    """Ask the audit and the gauge of a daemon that goes on with the journal; so many messages are in the folder."""
    async with run_daemon(load_config(config)) as running:
        [found] = await nothing_is_unaccounted(running)
    assert found.states == {"done": count}


def files(disk):
    """Sizes of all files on the disk, drafts too."""
    return [each.stat().st_size for each in disk.seen.rglob("*") if each.is_file()]


def the_problem(ended):
    (told,) = (each for each in map(json.loads, ended.err.splitlines()) if each["event"] == "problem")
    return told


async def test_a_full_disk_loses_nothing_and_repeats_nothing_and_the_daemon_goes_on_when_there_is_room(
    disk, on_disk, tenant, ledger, tmp_path
):
    ids, config = sent(tenant, 20), on_disk(with_ledger(ledger))
    async with disk.postroom("run", "-c", config) as running:
        await ledger.until(20)
        disk.fill()
        ids |= sent(tenant, 400, first=20)
        told = await running.err.until(lambda line: "the disk is full" in line, "the problem")
        assert "Free some space" in json.loads(told)["remedy"]
        disk.make_room()
        await ledger.until(420)
        assert await running.stopped() == 0
    assert ledger.messages == ids
    assert set(ledger.repeats.values()) == {1}
    assert states(shutil.copy(disk.seen / "journal.db", tmp_path)) == {"done": 420}
    config.write_text(config.read_text().replace("disk/journal.db", "journal.db"))
    await all_is_accounted_for(config, 420)


async def test_a_start_on_a_full_disk_ends_with_74_and_says_what_to_do(disk, on_disk, tenant):
    config = on_disk()
    disk.fill()
    async with disk.postroom("run", "-c", config) as running:
        assert await running.ended() == 74
        assert "is full" in running.err.text
        assert "Free some space" in running.err.text
    disk.make_room()
    async with disk.postroom("run", "-c", config) as running:
        await running.err.event("started")
        assert await running.stopped() == 0


async def test_a_full_directory_of_a_handler_leaves_no_half_files_and_its_mail_waits_for_room(
    disk, configure, tenant, tmp_path
):
    await disk.remount("size=1m")
    for number in range(8):
        tenant.state.deliver_mime(MAILBOX, mail(f"mail {number}", bill_pdf=b"%d" % number * 200_000))
    config = configure(
        f"handlers: {{save: {{use: save_attachments, with: {{directory: {disk.place}}}, "
        "retry: {attempts: 50, first: 1s, longest: 1s}}}\n" + RULES.replace("log", "save")
    )
    async with disk.postroom("run", "-c", config) as running:
        await running.err.until(lambda line: "Cannot write to" in line and "No space left" in line, "the failure")
        assert 0 < states(tmp_path / "journal.db").get("done", 0) < 8
        await disk.remount("size=8m")
        async with asyncio.timeout(30):
            while len(saved := files(disk)) < 8:  # noqa: ASYNC110 - what another process writes rings no bell
                await asyncio.sleep(0.1)
        assert await running.stopped() == 0
    assert saved == files(disk) == [200_000] * 8
    assert states(tmp_path / "journal.db") == {"done": 8}


async def test_a_read_only_directory_ends_the_start_with_74_and_says_what_to_do(disk, on_disk):
    await disk.remount("ro")
    async with disk.postroom("run", "-c", on_disk()) as running:
        assert await running.ended() == 74
        assert "writable for the daemon's user" in running.err.text


async def test_a_journal_whose_directory_is_missing_ends_with_74_and_says_what_to_do(on_disk):
    ended = await command("run", "-c", on_disk())
    assert ended.code == 74
    told = the_problem(ended)
    assert "does not exist" in told["what"]
    assert told["remedy"].startswith("Make it")


async def test_a_journal_with_a_damaged_page_says_so_and_from_its_backup_every_mail_is_handled(
    configure, tenant, ledger, tmp_path
):
    config, journal = configure(with_ledger(ledger)), tmp_path / "journal.db"
    ids = sent(tenant, 300)
    async with daemon(config) as running:
        await ledger.until(300)
        assert await running.stopped() == 0
    shutil.copy(journal, tmp_path / "backup.db")
    _damage(journal)
    ids |= sent(tenant, 50, first=300)
    async with postroom("run", "-c", config) as running:
        told = json.loads(await running.err.until(lambda line: "the file is damaged" in line, "the problem"))
        assert "Restore it from a backup" in told["remedy"]
        running.process.kill()
    for each in tmp_path.glob("journal.db*"):
        each.unlink()
    shutil.copy(tmp_path / "backup.db", journal)
    async with daemon(config) as running:
        while not ledger.messages >= ids:
            await ledger.until(len(ledger.runs) + 1)
        assert await running.stopped() == 0
    assert states(journal) == {"done": 350}
    await all_is_accounted_for(config, 350)


async def test_a_journal_that_another_program_locks_is_said_so_and_used_again_when_it_is_free(
    configure, tenant, ledger, tmp_path
):
    async with daemon(configure(with_ledger(ledger))) as running:
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ids = sent(tenant, 5)
            told = await running.err.until(lambda line: "another process keeps it locked" in line, "the problem")
            assert json.loads(told)["remedy"].startswith("End what is writing to it")
            other.execute("ROLLBACK")
        await ledger.until(5)
        assert await running.stopped() == 0
    assert ledger.messages == ids
    assert set(ledger.repeats.values()) == {1}


def _damage(journal):
    """Overwrite every other page behind the first tables, as a dying disk might."""
    size = journal.stat().st_size
    with journal.open("r+b") as file:
        for page in range(20, size // 8192, 2):
            file.seek(page * 8192)
            file.write(b"\xa5" * 8192)
