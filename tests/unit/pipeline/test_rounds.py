"""Which folder is walked when."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import JournalError, Throttled, Unavailable
from postroom.pipeline.rounds import LONGEST_BACK_OFF, LONGEST_PARK, Rounds, after_failure, next_due
from postroom.pipeline.walk import RoundResult
from postroom.ports import WatchedFolder
from support.pipeline import MAILBOX, until

intervals = st.floats(1, 86_400)


@given(st.text(max_size=30), intervals, st.floats(0, 1e8))
def test_the_next_round_is_due_within_one_interval(subject, interval, now):
    due = next_due(subject, interval, now)

    assert now - 1e-6 < due <= now + interval * (1 + 1e-6)


@given(st.text(max_size=30), st.integers(1, 3600), st.floats(0, 1e6))
def test_a_folder_keeps_to_its_own_grid(subject, interval, now):
    first = next_due(subject, interval, now)
    second = next_due(subject, interval, first + interval / 2)

    assert second - first == pytest.approx(interval)


def test_folders_are_spread_over_the_interval():
    dues = [next_due(f"mailbox {number}@b/Inbox", 60.0, 0.0) for number in range(600)]

    for third in range(3):
        assert 100 < sum(third * 20 <= due < (third + 1) * 20 for due in dues) < 300


@given(intervals, st.integers(1, 10_000), st.none() | st.floats(0, 1e9))
def test_a_failing_folder_is_tried_again_within_bounds(interval, failures, retry_after):
    wait = after_failure(interval, failures, retry_after)

    assert min(interval, LONGEST_BACK_OFF) <= wait <= max(LONGEST_BACK_OFF, interval, LONGEST_PARK)


def test_waits_double_and_retry_after_is_honoured():
    assert [after_failure(30.0, failures, None) for failures in (1, 2, 3, 9)] == [30.0, 60.0, 120.0, 600.0]
    assert after_failure(30.0, 1, 300.0) == 300.0
    assert after_failure(3600.0, 9, None) == 3600.0


class Poller:
    """A folder poller whose rounds do as the test says."""

    def __init__(self, name="Inbox", work=None):
        self.folder = WatchedFolder(1, MAILBOX, name)
        self.subject = f"mailbox {MAILBOX}/{name}"
        self.work = work
        self.rounds = 0
        self.under_way = 0
        self.finishing = asyncio.Event()

    def finish(self):
        self.finishing.set()

    async def round(self):
        self.rounds += 1
        self.under_way += 1
        try:
            if self.work is not None:
                await self.work(self)
            return RoundResult(pages=1, fresh=2)
        finally:
            self.under_way -= 1


@pytest.fixture
async def rounds(clock, notes, journal, folder):
    rounds = Rounds(journal=journal, clock=clock, report=notes, at_once=3)
    yield rounds
    await rounds.stop(0)


async def tick(rounds, clock, seconds=0.0):
    await clock.advance(seconds)
    rounds.tick()
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_folder_is_walked_at_once_and_then_at_its_interval(rounds, clock, notes):
    poller = Poller()
    rounds.replace([(poller, 30.0)])
    await tick(rounds, clock)
    assert poller.rounds == 1

    for _ in range(40):
        await tick(rounds, clock, 3.0)

    assert poller.rounds in {4, 5}
    assert notes.named("round")[0]["fresh"] == 2
    assert notes.fed["rounds"] == poller.rounds


async def test_a_round_that_ended_is_remembered_until_the_journal_has_heard_of_it(rounds, clock):
    rounds.replace([(Poller(), 30.0)])
    await tick(rounds, clock)
    assert rounds.walked == {1: clock.now()}


async def test_a_round_that_failed_is_no_walk(rounds, clock):
    async def fail(_):
        raise Unavailable("Down.", status=503)

    rounds.replace([(Poller(work=fail), 30.0)])
    await tick(rounds, clock)
    assert rounds.walked == {}


async def test_a_round_never_overlaps_itself(rounds, clock):
    release = asyncio.Event()
    poller = Poller(work=lambda _: release.wait())
    rounds.replace([(poller, 1.0)])
    for _ in range(10):
        await tick(rounds, clock, 5.0)
    assert (poller.rounds, poller.under_way) == (1, 1)

    release.set()
    await tick(rounds, clock)
    await tick(rounds, clock, 1.0)
    assert poller.rounds == 2


async def test_a_folder_that_is_watched_anew_waits_for_its_round_under_way(rounds, clock):
    release = asyncio.Event()
    old, new = Poller(work=lambda _: release.wait()), Poller()
    rounds.replace([(old, 1.0)])
    await tick(rounds, clock)
    rounds.replace([(new, 1.0)])
    await tick(rounds, clock, 5.0)
    assert new.rounds == 0

    release.set()
    await until(lambda: old.under_way == 0)
    await tick(rounds, clock, 1.0)
    assert (old.rounds, new.rounds) == (1, 1)


async def test_no_more_rounds_run_together_than_may(rounds, clock):
    release = asyncio.Event()
    pollers = [Poller(f"Inbox/{number}", lambda _: release.wait()) for number in range(7)]
    rounds.replace([(poller, 30.0) for poller in pollers])

    await tick(rounds, clock, 1.0)
    assert sum(poller.under_way for poller in pollers) == 3

    release.set()
    await until(lambda: all(poller.rounds == 1 for poller in pollers))


async def test_a_failed_round_is_reported_kept_and_tried_again_later(rounds, clock, notes, journal):
    async def fail(_):
        raise Unavailable("Down.", status=503)

    poller = Poller(work=fail)
    rounds.replace([(poller, 30.0)])
    await tick(rounds, clock)
    await until(lambda: journal.calls["folder_failed"] == 1 and not rounds._running)

    assert notes.problems[0][0] == poller.subject
    await tick(rounds, clock, 29.0)
    assert poller.rounds == 1
    await tick(rounds, clock, 1.5)
    assert poller.rounds == 2


async def test_a_folder_that_works_again_says_so_and_keeps_its_interval(rounds, clock, notes):
    async def fail_twice(poller):
        if poller.rounds <= 2:
            raise Throttled("Wait.", retry_after=5.0)

    poller = Poller(work=fail_twice)
    rounds.replace([(poller, 10.0)])
    for _ in range(60):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.subject in notes.well
    assert 4 <= poller.rounds <= 6


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), asyncio.CancelledError(), JournalError("The disk is full.")]
)
async def test_no_error_ends_the_polling_of_a_folder(rounds, clock, notes, error):
    async def fail(_):
        raise error

    poller = Poller(work=fail)
    rounds.replace([(poller, 1.0)])
    for _ in range(20):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.rounds >= 3
    assert len(notes.problems) == poller.rounds


async def test_not_even_a_journal_that_fails_to_note_the_failure_does(rounds, clock, notes, journal):
    async def fail(_):
        raise Unavailable("Down.")

    journal.failures["folder_failed"].extend([JournalError("The disk is full."), RuntimeError("a defect")])
    poller = Poller(work=fail)
    rounds.replace([(poller, 1.0)])
    quiet = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))
    for _ in range(20):
        await tick(rounds, clock, 1.0)
        await until(lambda: not rounds._running)

    assert poller.rounds >= 3
    assert "journal" in [subject for subject, _ in notes.problems]


async def test_stopping_lets_a_round_finish_its_page(rounds, clock):
    ended = []

    async def page_by_page(poller):
        await poller.finishing.wait()
        ended.append(1)

    rounds.replace([(Poller(work=page_by_page), 30.0)])
    await tick(rounds, clock)
    await rounds.stop(5)

    assert ended


async def test_stopping_cuts_off_what_does_not_finish(rounds, clock):
    poller = Poller(work=lambda _: asyncio.Event().wait())
    rounds.replace([(poller, 30.0)])
    await tick(rounds, clock)

    async with asyncio.timeout(5):
        await rounds.stop(0.01)

    assert poller.under_way == 0
    assert not rounds._running


async def test_rounds_that_wait_for_a_place_do_not_start_after_a_stop(rounds, clock):
    pollers = [Poller(f"Inbox/{number}", lambda poller: poller.finishing.wait()) for number in range(7)]
    rounds.replace([(poller, 30.0) for poller in pollers])
    await tick(rounds, clock, 1.0)

    await rounds.stop(5)

    assert sum(poller.rounds for poller in pollers) == 3


async def test_replaced_folders_are_not_walked_any_more(rounds, clock):
    old, new = Poller("Old"), Poller("New")
    rounds.replace([(old, 1.0)])
    await tick(rounds, clock)
    await rounds.stop(1)
    rounds.replace([(new, 1.0)])
    for _ in range(5):
        await tick(rounds, clock, 1.0)

    assert old.rounds == 1
    assert new.rounds >= 4
