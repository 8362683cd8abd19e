"""What rounds have missed is found by listing, taken in once, and said."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from postroom.errors import JournalError, Unavailable
from postroom.pipeline import reading, reconcile
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.reconcile import AGAIN, AT_ONCE, Reconciler
from postroom.pipeline.survey import survey
from postroom.ports import FolderSpec
from postroom.rule import Rule
from postroom.testing.clock import START
from support.pipeline import ALWAYS, MAILBOX, ScriptedMail, mail_at, page, until

HOUR = 3600.0
DAY = 86_400.0
RULE = Rule("all", ALWAYS, ("erp",))


class Bench:
    """A folder with a poller and a reconciler, whose rounds the test makes."""

    def __init__(self, mail, journal, clock, notes):
        self.mail, self.journal, self.clock, self.notes = mail, journal, clock, notes
        self.reconciler = Reconciler(journal=journal, clock=clock, report=notes, every=HOUR, window=DAY)

    async def watch(self, floor=None, **fields):
        """Take the folder over as a start would."""
        [folder] = await self.journal.adopt([FolderSpec("default", MAILBOX, "Inbox", floor)], self.clock.now())
        settings = {"mail": self.mail, "journal": self.journal, "clock": self.clock, "report": self.notes}
        self.poller = FolderPoller(replace(folder, **fields), (RULE,), page_size=50, **settings)
        self.reconciler.replace([self.poller])

    async def round(self):
        """Make a round, and wait for the look that it starts, if any; returns whether there was one."""
        result = await self.poller.round()
        self.reconciler.round_ended(self.poller, result)
        looks = list(self.reconciler._looks.values())
        await until(lambda: not self.reconciler._looks)
        return bool(looks)

    @property
    def reports(self):
        return [
            (each["missing"], each["healed"], each["unaccounted"])
            for name, each in self.notes.events
            if name == "reconciled"
        ]

    async def checked(self):
        """Return up to when the journal believes that nothing is missing."""
        [folder] = await self.journal.adopt([FolderSpec("default", MAILBOX, "Inbox", None)], self.clock.now())
        return folder.reconciled_at

    async def delivered(self):
        return (await self.journal.counts())["deliveries.ready"]


@pytest.fixture
async def bench(mail, journal, clock, notes):
    mail.script(None, page(mail_at(0), delta_link="D1"))
    mail.script("D1", page(delta_link="D1"))
    bench = Bench(mail, journal, clock, notes)
    yield bench
    await bench.reconciler.stop()


def there(mail, *messages):
    """Put messages into the folder without any round being told."""
    for each in messages:
        mail.listing.append(each)
        mail.messages[each.id].append(each)


async def test_a_folder_is_looked_at_after_its_first_walk_and_then_every_so_often(bench):
    await bench.watch()
    looks = [await bench.round(), await bench.round()]
    await bench.clock.advance(HOUR - 1)
    looks.append(await bench.round())
    await bench.clock.advance(1)
    looks.append(await bench.round())

    assert looks == [True, False, False, True]
    assert bench.reports == [(0, 0, 0)] * 2


async def test_what_is_missing_twice_with_a_round_in_between_is_taken_in_once(bench, mail):
    await bench.watch()
    missed = [mail_at(minute) for minute in (1, 2)]
    there(mail, *missed)

    await bench.round()
    assert await bench.delivered() == 1
    assert bench.reports == [(0, 0, 0)]

    await bench.round()
    assert await bench.delivered() == 3
    assert bench.reports[1:] == [(2, 2, 0)]
    assert set(bench.notes.named("reconciled")[1]["messages"]) == {each.id for each in missed}

    await bench.clock.advance(HOUR)
    await bench.round()
    assert bench.reports[2:] == [(0, 0, 0)]
    assert bench.poller.folder.link == "D1"


async def test_what_the_next_round_brings_was_never_missing(bench, mail):
    await bench.watch()
    late = mail_at(3)
    there(mail, late)
    await bench.round()
    mail.delta["D1"].clear()
    mail.script("D1", page(late, delta_link="D2"))

    await bench.round()

    assert bench.reports == [(0, 0, 0)] * 2
    assert await bench.delivered() == 2


async def test_what_leaves_the_folder_meanwhile_is_not_missing(bench, mail):
    await bench.watch()
    there(mail, mail_at(3))
    await bench.round()
    mail.listing.clear()

    await bench.round()

    assert bench.reports == [(0, 0, 0)] * 2
    assert await bench.delivered() == 1


async def test_a_round_that_began_before_the_look_does_not_count(bench, mail):
    await bench.watch()
    there(mail, mail_at(3))
    result = await bench.poller.round()
    bench.poller.begun += 1  # another one is under way when the look ends
    bench.reconciler.round_ended(bench.poller, result)
    await until(lambda: not bench.reconciler._looks)

    bench.reconciler.round_ended(bench.poller, result)

    assert not bench.reconciler._looks


async def test_a_mail_that_came_back_to_the_folder_is_brought_back_and_goes_to_nobody_twice(bench, mail, journal):
    await bench.watch()
    [archive] = await journal.adopt([FolderSpec("default", MAILBOX, "Archive", None)], bench.clock.now())
    await bench.round()
    [message] = [entry.message for entry in mail.delta[None][0].entries]
    other = ScriptedMail()
    other.folder_ids = deque(["archive-id"])
    other.script(None, page(message, delta_link="A1"))
    settings = {"journal": journal, "clock": bench.clock, "report": bench.notes}
    await FolderPoller(archive, (RULE,), mail=other, page_size=50, **settings).round()
    there(mail, message)
    await bench.clock.advance(HOUR)
    for _ in range(2):
        await bench.round()

    assert bench.reports[-1] == (1, 1, 0)
    assert await journal.known(bench.poller.folder.key, [message.id]) == {message.id}
    assert await bench.delivered() == 1


async def test_a_folder_that_got_a_new_name_is_looked_at_back_to_its_last_look(bench, mail, journal):
    await bench.watch()
    await bench.round()
    there(mail, mail_at(1))
    await bench.clock.advance(2 * DAY)
    [renamed] = await journal.adopt([FolderSpec("default", MAILBOX, "Renamed", None)], bench.clock.now())
    await bench.watch(key=renamed.key, name="Renamed", link=None, graph_id=None, reconciled_at=None)
    for _ in range(2):
        assert await bench.round()

    assert bench.reports[-1] == (1, 1, 0)


async def test_mail_from_before_the_start_is_never_looked_for(bench, mail):
    await bench.watch(floor=START + timedelta(seconds=30.5))
    there(mail, mail_at(0.5), mail_at(0.51))
    await bench.clock.advance(60)
    for _ in range(2):
        await bench.round()

    assert await bench.delivered() == 1


async def test_a_look_reaches_back_over_the_window_or_to_the_last_look_before_a_stop(bench, mail, monkeypatch):
    monkeypatch.setattr(reconcile, "WHOLE", 30 * DAY)
    await bench.watch()
    await bench.round()
    await bench.clock.advance(5 * DAY)
    await bench.watch()
    mail.requests.clear()
    await bench.round()
    await bench.clock.advance(HOUR)
    await bench.round()

    assert surveyed(mail) == [START, START + timedelta(seconds=4 * DAY + HOUR)]


def surveyed(mail):
    """Return how far back each look went."""
    return [since for kind, since, *_ in mail.requests if kind == "survey"]


async def test_a_look_at_the_whole_folder_is_followed_by_shorter_ones_for_a_day(bench, mail):
    floor = START - timedelta(days=30)
    await bench.watch(floor=floor)
    for _ in range(26):
        await bench.round()
        await bench.clock.advance(HOUR)

    since = surveyed(mail)
    assert [since[0], *since[24:25]] == [floor, floor]
    assert since[1:24] == [START + timedelta(seconds=number * HOUR - DAY) for number in range(1, 24)]


async def test_a_folder_that_was_walked_whole_is_looked_at_whole(bench, mail):
    await bench.watch()
    await bench.round()
    bench.poller.folder = replace(bench.poller.folder, link=None, walk="full")
    assert await bench.round()
    assert surveyed(mail) == [None, None]


async def test_a_reload_makes_no_look_whole_that_would_not_have_been(bench, mail):
    await bench.watch()
    await bench.round()
    await bench.watch()
    await bench.clock.advance(HOUR)
    await bench.round()
    assert surveyed(mail)[1] is not None


async def test_an_old_mail_that_no_round_told_of_is_found_when_the_whole_folder_is_looked_at(bench, mail):
    await bench.watch()
    await bench.round()
    there(mail, mail_at(-60 * 24 * 30))
    await bench.clock.advance(HOUR)
    await bench.round()
    assert bench.reports[-1] == (0, 0, 0)
    await bench.clock.advance(DAY)
    for _ in range(2):
        await bench.round()
    assert bench.reports[-1] == (1, 1, 0)
    assert await bench.delivered() == 2


async def test_a_restart_does_not_make_a_look_due(bench):
    await bench.watch()
    await bench.round()
    await bench.clock.advance(HOUR / 2)
    await bench.watch()
    assert not await bench.round()
    await bench.clock.advance(HOUR / 2)
    assert await bench.round()


@pytest.mark.parametrize("error", [Unavailable("Down."), JournalError("The disk is full."), ZeroDivisionError()])
async def test_a_look_that_fails_is_a_problem_and_repeated_until_it_goes_well(bench, journal, error):
    await bench.watch()
    journal.failures["reconciled"].append(error)
    await bench.round()
    assert bench.notes.problems == [(f"reconcile {MAILBOX}/Inbox", error)]
    assert not await bench.round()
    await bench.clock.advance(AGAIN)
    assert await bench.round()
    assert bench.notes.well[-1] == f"reconcile {MAILBOX}/Inbox"


async def test_folders_whose_looks_fail_keep_no_other_from_its_look(bench, journal, clock, notes):
    async def poller_of(name, survey_page=None):
        [folder] = await journal.adopt([FolderSpec("default", MAILBOX, name, None)], clock.now())
        mail = ScriptedMail()
        mail.script(None, page(delta_link="D1"))
        mail.script("D1", page(delta_link="D1"))
        mail.survey_page = survey_page or mail.survey_page
        return FolderPoller(folder, (RULE,), page_size=50, mail=mail, journal=journal, clock=clock, report=notes)

    hangs = asyncio.Event()
    fails = True

    async def hang(*_):
        if not fails:
            await hangs.wait()
        raise Unavailable("Down.")

    hanging = [await poller_of(f"Hanging {number}", hang) for number in range(AT_ONCE)]
    well = await poller_of("Well")
    bench.reconciler.replace([*hanging, well])

    async def rounds(pollers):
        for each in pollers:
            bench.reconciler.round_ended(each, await each.round())

    await rounds(hanging)
    await until(lambda: not bench.reconciler._looks)
    fails = False
    await clock.advance(AGAIN)
    await rounds([*hanging, well])
    await until(lambda: any(each["folder"] == "Well" for each in notes.named("reconciled")))
    await until(lambda: len(bench.reconciler._looks) == len(hanging))

    hangs.set()
    await until(lambda: not bench.reconciler._looks)
    assert len(notes.problems) == 2 * len(hanging)


async def test_what_cannot_be_taken_in_stays_unaccounted_until_it_can(bench, mail):
    await bench.watch()
    missed = mail_at(3)
    there(mail, missed)
    mail.messages[missed.id].appendleft(Unavailable("Down."))
    for _ in range(2):
        await bench.round()
    assert bench.reports[-1] == (1, 0, 1)
    assert bench.notes.problems
    assert not await bench.round()

    await bench.clock.advance(AGAIN)
    assert await bench.round()
    assert bench.reports[-1] == (1, 1, 0)
    assert await bench.delivered() == 2


async def test_what_graph_lists_and_does_not_give_stays_unaccounted_until_it_is_listed_no_more(
    bench, mail, journal, monkeypatch
):
    monkeypatch.setattr(reading, "GONE_WAIT", 0.0)
    await bench.watch()
    ghost, missed = mail_at(3), mail_at(4)
    mail.listing.append(ghost)
    mail.messages[ghost.id].append(None)
    there(mail, missed)
    await bench.round()
    await bench.round()
    assert bench.reports == [(0, 0, 0), (2, 1, 1)]
    assert not bench.notes.problems, "it may have been deleted just now"

    bench.notes.well.clear()
    await bench.round()
    for _ in range(3):
        assert not await bench.round()
        await bench.clock.advance(AGAIN)
        assert await bench.round()
    assert bench.reports[2:] == [(1, 0, 1)] * 4
    assert {name for name, _ in bench.notes.problems} == {f"reconcile {MAILBOX}/Inbox"}
    assert ghost.id in str(bench.notes.problems[-1][1])
    assert not bench.notes.well
    assert await bench.checked() is None

    mail.listing.remove(ghost)
    await bench.clock.advance(AGAIN)
    await bench.round()
    assert bench.reports[-1] == (0, 0, 0)
    assert bench.notes.well[-1] == f"reconcile {MAILBOX}/Inbox"
    assert await bench.checked() == bench.clock.now()


async def test_what_graph_gives_at_last_is_taken_in(bench, mail, monkeypatch):
    monkeypatch.setattr(reading, "GONE_WAIT", 0.0)
    await bench.watch()
    late = mail_at(3)
    mail.listing.append(late)
    mail.messages[late.id].extend([None, None, late])
    for _ in range(3):
        await bench.round()

    assert bench.reports == [(0, 0, 0), (1, 0, 1), (1, 1, 0)]
    assert await bench.delivered() == 2
    assert not bench.notes.problems


async def test_so_much_that_is_missing_is_taken_in_part_by_part(bench, mail, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST", 30)
    await bench.watch()
    there(mail, *[mail_at(minute) for minute in range(50)])
    for _ in range(5):
        await bench.round()

    assert await bench.delivered() == 51
    assert sum(healed for _, healed, _ in bench.reports) == 50


async def test_a_folder_that_is_no_longer_watched_is_not_looked_at(bench):
    await bench.watch()
    poller = bench.poller
    await bench.watch()
    result = await poller.round()
    bench.reconciler.round_ended(poller, result)
    assert not bench.reconciler._looks


async def test_a_survey_tells_of_all_that_is_in_a_folder_however_much_came_in_one_second(mail, clock):
    messages = [mail_at(minute) for minute in (0, 1, 1, 1, 1, 1, 2, 30)]
    mail.listing = messages
    await clock.advance(600)  # the last one is dated ahead
    found = [each async for part in survey(mail, "Inbox", None, clock=clock, page_size=2) for each in part]

    assert set(found) == {(each.id, each.received_at) for each in messages}
    assert len(mail.requests) < 20
