"""What may go wrong between a mailbox and the journal, each by its name: in the end nothing is unaccounted for."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from postroom.cli.main import run
from postroom.clock import SystemClock
from postroom.errors import ExitCode
from postroom.journal import JournalViews
from postroom.model import DeliveryState
from postroom.pipeline import due, mode
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.state import delta as simulated_delta
from postroom.simulator.state.filing import delete_folder
from support.account import compared, nothing_is_unaccounted, told
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config

CONFIG = f"""
mailboxes:
  - address: {MAILBOX}
    folders: [Inbox, Bills]
    poll: 1s
    start: all
    rules: [{{name: all, handle: [log]}}]
"""
DELTA = "*/delta*"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(due, "LONGEST_BACK_OFF", 1.0)


@pytest.fixture
def mailbox(tenant):
    """The mailbox, with a second folder that is watched."""
    mailbox = tenant.state.mailbox(MAILBOX)
    mailbox.create_folder("Bills")
    return mailbox


@pytest.fixture
def comparing(daemon, mailbox):
    """Run a daemon that compares each folder with Graph's listing after every round."""

    @asynccontextmanager
    async def start(text=CONFIG):
        async with daemon(text) as running:
            running.app.reconciler.every = 0.0
            yield running

    return start


def arrive(tenant, count, subject="mail", **fields):
    """Deliver so many mails to the Inbox."""
    return [tenant.state.deliver_mime(MAILBOX, mail(f"{subject} {number}"), **fields) for number in range(count)]


async def test_410_in_mid_round(comparing, tenant):
    arrive(tenant, 130)
    tenant.faults.add(Fault(GraphAnswer(410, "SyncStateNotFound"), path=DELTA, after=1))
    async with comparing(CONFIG.replace("[Inbox, Bills]", "[Inbox]")) as running:
        await running.until_counts(messages=130, deliveries_done=130)
        assert len(told(running, "resync")) == 1
        await nothing_is_unaccounted(running)


async def test_a_loss_of_three_generations(comparing, tenant, tmp_path):
    """A journal from a backup has a link that Graph has moved on from: it keeps the newest three."""
    arrive(tenant, 3)
    async with comparing() as running:
        await running.until_counts(messages=3, deliveries_done=3)
    shutil.copy(tmp_path / "journal.db", tmp_path / "backup.db")
    async with comparing() as running:
        for number in range(4):
            arrive(tenant, 1, f"later {number}")
            await running.until_counts(messages=4 + number, deliveries_done=4 + number)
    shutil.copy(tmp_path / "backup.db", tmp_path / "journal.db")
    arrive(tenant, 2, "last")
    async with comparing() as running:
        await running.until_counts(messages=9, deliveries_done=9)
        assert [line["code"] for line in told(running, "resync")] == ["SyncStateNotFound"]
        await nothing_is_unaccounted(running)


async def test_a_move_away_and_back_between_two_rounds(comparing, tenant, mailbox):
    tenant.weather.disturb({"move_hole": True})
    elsewhere = mailbox.create_folder("Elsewhere")
    async with comparing() as running:
        arrive(tenant, 1)
        await running.until_counts(messages=1)
        [moved] = arrive(tenant, 1, "moved")
        mailbox.move(moved, elsewhere)
        mailbox.move(moved, mailbox.folder("inbox"))
        await running.until_counts(messages=2, deliveries_done=2)
        assert tenant.state.nuisance.struck["move_hole"]
        [line] = [line for line in told(running, "reconciled") if line["missing"]]
        assert (line["level"], line["healed"], line["unaccounted"], len(line["messages"])) == ("warning", 1, 0, 1)
        await nothing_is_unaccounted(running)


async def test_a_move_to_another_watched_folder_and_back_delivers_nothing_twice(comparing, tenant, mailbox):
    tenant.weather.disturb({"move_hole": True})
    inbox, bills = mailbox.folder("inbox"), next(each for each in mailbox.folders if each.display_name == "Bills")
    async with comparing() as running:
        [moved] = arrive(tenant, 1, "moved")
        await running.until_counts(messages=1, deliveries_done=1)
        mailbox.move(moved, bills)
        await compared(running)
        mailbox.move(moved, inbox)
        mailbox.move(moved, bills)
        mailbox.move(moved, inbox)
        await compared(running)
        await nothing_is_unaccounted(running)
        assert (await running.counts())["deliveries.done"] == 1


async def test_duplicates(comparing, tenant):
    tenant.weather.disturb({"duplicate": 1.0, "replay": 1.0, "noise": 1.0})
    arrive(tenant, 60)
    async with comparing() as running:
        await running.until_counts(messages=60, deliveries_done=60)
        arrive(tenant, 5, "later")
        await running.until_counts(messages=65, deliveries_done=65)
        assert {"duplicate", "replay", "noise"} <= set(tenant.state.nuisance.struck)
        await nothing_is_unaccounted(running)
        assert (await running.counts())["deliveries.done"] == 65


async def test_the_cap_of_a_filtered_round(comparing, tenant, monkeypatch):
    """Graph ends a filtered first round in silence after 5,000; no round asks for a filter, not with a start either."""
    monkeypatch.setattr(simulated_delta, "FILTERED_LIMIT", 20)
    now = datetime.now(UTC)
    arrive(tenant, 70, received_at=now - timedelta(hours=2))
    async with comparing(CONFIG.replace("start: all", f"start: {(now - timedelta(hours=3)).isoformat()}")) as running:
        await running.until_counts(messages=70, deliveries_done=70)
        await nothing_is_unaccounted(running)


async def test_a_full_mailbox(comparing, tenant, mailbox, monkeypatch):
    monkeypatch.setattr(mode, "DELTA_RETRY", 0.5)
    arrive(tenant, 5)
    mailbox.full = True
    async with comparing() as running:
        await running.until_counts(messages=5, deliveries_done=5)
        arrive(tenant, 5, "while full")
        await running.until_counts(messages=10, deliveries_done=10)
        health = running.app.report.health
        assert (health.status(), set(health.modes.values())) == ("degraded", {"listing"})
        await nothing_is_unaccounted(running)

        mailbox.full = False
        await running.until(in_mode(running, "delta"), "delta again")
        arrive(tenant, 1, "after")
        await running.until_counts(messages=11, deliveries_done=11)
        assert (len(told(running, "fallback")), len(told(running, "restored"))) == (2, 2)  # once for each folder
        assert health.status() == "ok"
        await nothing_is_unaccounted(running)


async def test_a_delta_that_fails_while_all_else_works(comparing, tenant, monkeypatch):
    monkeypatch.setattr(mode, "DELTA_RETRY", 0.5)
    async with comparing() as running:
        arrive(tenant, 3)
        await running.until_counts(messages=3, deliveries_done=3)
        broken = tenant.faults.add(Fault(GraphAnswer(504, "GatewayTimeout", retry_after=0), path=DELTA, count=None))
        arrive(tenant, 3, "meanwhile")
        await running.until_counts(messages=6, deliveries_done=6)
        await nothing_is_unaccounted(running)

        tenant.faults.remove(broken.id)
        await running.until(in_mode(running, "delta"), "delta again")
        arrive(tenant, 1, "after")
        await running.until_counts(messages=7, deliveries_done=7)
        await nothing_is_unaccounted(running)


def in_mode(running, name):
    async def holds():
        return set(running.app.report.health.modes.values()) == {name}

    return holds


async def test_late_mail_and_lost_links_all_the_time(comparing, tenant):
    tenant.weather.disturb({"late": 0.5, "late_seconds": (0.2, 0.8), "forget": 0.2, "reset": 0.2, "empty_page": 0.2})
    async with comparing() as running:
        for number in range(5):
            arrive(tenant, 6, f"batch {number}")
            await running.until_counts(messages=6 * (number + 1), deliveries_done=6 * (number + 1))
        await nothing_is_unaccounted(running)


LATER = '''
from postroom.plugin import Done, Handler, Options, Retry

class Later(Handler[Options]):
    """Ask once for the seconds that the subject begins with."""

    async def handle(self, message, context):
        return Retry("later", after=float(message.subject.split()[0])) if context.attempt == 1 else Done()
'''


class Wall(SystemClock):
    """The system's clock, as somebody has set it."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


async def test_a_clock_jump(tenant, mailbox, tmp_path):
    """While a delivery waits the clock is put forward by a day and back again, then forward past its due time."""
    (tmp_path / "later.py").write_text(LATER)
    text = "handlers: {log: {use: './later.py:Later', retry: {longest: 1d}}}" + CONFIG
    wall = Wall()
    async with run_daemon(load_config(write_config(tmp_path / "postroom.yaml", tenant, text)), wall) as running:
        running.app.reconciler.every = 0.0
        await compared(running)
        wall.ahead = timedelta(days=1)
        await running.app.timepiece.look()
        arrive(tenant, 1, "2 seconds")
        await running.until(waiting(running, 1), "a delivery that waits")
        wall.ahead = timedelta()
        await running.app.timepiece.look()
        arrive(tenant, 1, "3600 seconds")
        await running.until_counts(messages=2, deliveries_done=1)

        await running.until(waiting(running, 1), "the other one")
        wall.ahead = timedelta(hours=2)
        await running.app.timepiece.look()
        await running.until_counts(deliveries_done=2)
        [line] = told(running, "clock")
        assert (line["level"], line["hastened"], round(line["seconds"])) == ("warning", 1, -86_400)
        wall.ahead = timedelta()
        arrive(tenant, 1, "0 seconds")
        await running.until_counts(messages=3, deliveries_done=3)
        await nothing_is_unaccounted(running)


def waiting(running, count):
    async def wait():
        found = await JournalViews(running.app.journal).deliveries(state=DeliveryState.READY)
        return sum(each.attempt == 1 for each in found) == count

    return wait


async def test_an_audit_beside_no_daemon_lists_what_the_journal_has_not(daemon, tenant, mailbox, tmp_path, capsys):
    """The journal is from a backup: what was handled since is missing in it, and said so."""
    arrive(tenant, 2, received_at=datetime.now(UTC) - timedelta(hours=3))
    async with daemon(CONFIG) as running:
        await running.until_counts(messages=2, deliveries_done=2)
        await running.app.chores.count()
    path = next(tmp_path.glob("postroom*.yaml"))
    assert await asyncio.to_thread(run, ["audit", "-c", str(path)]) == ExitCode.OK
    assert "Nothing is missing: 2 messages are accounted for" in capsys.readouterr().out

    arrive(tenant, 1, "never seen", received_at=datetime.now(UTC) - timedelta(hours=2))
    arrive(tenant, 1, "of now")
    forget_rounds(tmp_path / "journal.db", hours=1)
    assert await asyncio.to_thread(run, ["audit", "-c", str(path), "--json"]) == ExitCode.FAILED
    [inbox, bills] = json.loads(capsys.readouterr().out)["folders"]
    assert [each["subject"] for each in inbox["missing"]] == ["never seen 0"]
    assert (inbox["seen"], inbox["journalled"], inbox["states"], inbox["to_come"]) == (4, 2, {"done": 2}, 1)
    assert (bills["seen"], bills["missing"]) == (0, [])

    assert await asyncio.to_thread(run, ["audit", "-c", str(path), "--folder", "inbox"]) == ExitCode.FAILED
    shown = capsys.readouterr().out
    assert "Missing (1)" in shown
    assert "never seen 0" in shown
    assert "1 message is in a watched folder and not in the journal." in shown


def forget_rounds(file, hours):
    """Have the last rounds have ended that long ago."""
    with sqlite3.connect(file) as journal:
        journal.execute("UPDATE folders SET last_round_at = last_round_at - ?", [hours * 3_600_000_000])


async def test_an_audit_beside_a_running_daemon_waits_for_its_next_round(daemon, tenant, mailbox, tmp_path, capsys):
    """What that round does not bring is missing, until the daemon compares."""
    tenant.weather.disturb({"move_hole": True})
    elsewhere = mailbox.create_folder("Elsewhere")
    async with daemon(CONFIG) as running:
        await compared(running)
        [moved] = arrive(tenant, 1, "moved", received_at=datetime.now(UTC) - timedelta(hours=2))
        mailbox.move(moved, elsewhere)
        mailbox.move(moved, mailbox.folder("inbox"))
        path = str(next(tmp_path.glob("postroom*.yaml")))
        assert await beside(running, ["audit", "-c", path]) == ExitCode.FAILED
        assert "moved 0" in capsys.readouterr().out

        for case in running.app.reconciler._cases.values():
            case.at = 0.0  # an hour has passed
        await running.until_counts(messages=1, deliveries_done=1)
        assert await beside(running, ["audit", "-c", path]) == ExitCode.OK


async def beside(running, arguments):
    """Run a command while the daemon goes on, which writes its rounds down more often than it would."""
    command = asyncio.create_task(asyncio.to_thread(run, arguments))
    while not command.done():
        await running.app.chores.count()
        await asyncio.wait({command}, timeout=0.2)
    return command.result()


async def test_an_audit_of_a_mailbox_that_cannot_be_read_says_so_and_audits_the_others(
    daemon, tenant, mailbox, tmp_path, capsys
):
    async with daemon(CONFIG) as running:
        await running.until(in_mode(running, "delta"), "a first round")
        await running.app.chores.count()
    path = next(tmp_path.glob("postroom*.yaml"))
    delete_folder(mailbox, next(each for each in mailbox.folders if each.display_name == "Bills"))
    assert await asyncio.to_thread(run, ["audit", "-c", str(path)]) == ExitCode.UNAVAILABLE
    shown = capsys.readouterr().out
    assert f"{MAILBOX}/Bills could not be read: Folder Bills is not in {MAILBOX}" in shown
    assert "Nothing is missing" in shown

    assert (
        await asyncio.to_thread(run, ["audit", "-c", str(path), "--mailbox", "nobody@contoso.example"])
        == ExitCode.FAILED
    )
    assert "No watched folder has these names" in capsys.readouterr().err
    assert await asyncio.to_thread(run, ["audit", "-c", str(path), "--since", "yesterday"]) == ExitCode.USAGE
