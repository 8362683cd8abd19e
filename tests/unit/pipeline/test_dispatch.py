"""Deliveries: claimed within the limits, run, settled, with the real journal underneath."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import asynccontextmanager
from random import Random

import pytest

from postroom.errors import JournalError
from postroom.model import Categorise, Done, MarkRead, MoveTo, Reject, Retry, RetryPolicy
from postroom.pipeline.attempt import GRACE, OVERDRAWN, STUCK
from postroom.pipeline.attempts import LONGEST_STRETCH, Attempts
from postroom.pipeline.dispatch import PROGRESS, Dispatcher
from postroom.pipeline.unserved import ABSENT_WAIT
from postroom.pipeline.unstored import OUTCOMES, RESULTS
from postroom.plugin import Handler
from postroom.ports import ROUTING, UNDATED, UNROUTED, FolderSpec, MatchedRule, NewMessage, PageCommit, PageResult
from postroom.rule import Rule
from postroom.testing import make_message
from support.pipeline import (
    ALWAYS,
    MAILBOX,
    FailingJournal,
    Plain,
    Scripted,
    ScriptedMail,
    counted,
    deliver,
    desk,
    opened,
    until,
)


@pytest.fixture
def dispatching(journal, clock, notes):
    """Run a dispatcher while the test looks on, and stop it at the end."""

    @asynccontextmanager
    async def run(*handlers, stop=True, **fields):
        acted = []
        dispatcher = Dispatcher(
            desk(*handlers, **fields),
            journal=journal,
            clock=clock,
            report=notes,
            bind_log=lambda _: None,
            acted=lambda: acted.append(1),
            random=Random(7),
        )
        dispatcher.said_acted = acted
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            if stop:
                await dispatcher.stop(0)
                async with asyncio.timeout(5):
                    await task
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture
def rows(journal):
    """Read the deliveries' rows."""

    async def read():
        def work(connection):
            found = connection.exec_driver_sql(
                "select handler, state, attempt, error, note, suspect from deliveries order by id"
            )
            return [dict(row._mapping) for row in found]

        return await journal.real.database.read(work)

    return read


async def state(rows):
    return [(row["state"], row["attempt"]) for row in await rows()]


def hanging():
    """Return a handler's work that waits to be let go, and the event that lets it go."""
    release = asyncio.Event()

    async def work():
        await release.wait()
        return Done()

    return (lambda *_: work()), release


async def settled(journal, count, name="done"):
    await counted(journal, f"deliveries.{name}", count)


async def turns_in_a_while(journal):
    """Count turns once things have settled down; how many there are in a given time is the very question."""
    await asyncio.sleep(0.05)
    before = journal.calls["turn"]
    await asyncio.sleep(0.2)
    return journal.calls["turn"] - before


async def test_what_is_due_runs_and_is_settled(dispatching, *, journal, folder, clock, rows, notes):
    messages = await deliver(journal, folder, clock, "erp", count=3)
    handler = Scripted(lambda *_: Done("saved"))

    async with dispatching(opened("erp", handler)) as dispatcher:
        await settled(journal, 3)
        assert not dispatcher.said_acted

    assert sorted(handler.ran) == sorted((message.id, 1) for message in messages)
    assert {(row["state"], row["attempt"], row["note"]) for row in await rows()} == {("done", 1, "saved")}
    [event] = [each for each in notes.named("delivery") if each["message"] == 1]
    assert {key: event[key] for key in ("mailbox", "folder", "handler", "rule", "attempt", "state", "note")} == {
        "mailbox": MAILBOX,
        "folder": "Inbox",
        "handler": "erp",
        "rule": "all",
        "attempt": 1,
        "state": "done",
        "note": "saved",
    }


async def test_an_attempt_is_counted_before_the_handler_runs(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp")
    seen = []

    async def look():
        seen.extend(await state(rows))

    async with dispatching(opened("erp", Scripted(lambda *_: look()))):
        await settled(journal, 1)

    assert seen == [("running", 1)]


async def test_a_failure_is_tried_again_when_its_time_has_come_and_no_sooner(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp")
    handler = Scripted(lambda _, context: Retry("busy", 30.0) if context.attempt == 1 else Done())

    async with dispatching(opened("erp", handler)) as dispatcher:
        await until(lambda: len(handler.ran) == 1)
        await settled(journal, 1, "ready")
        await clock.advance(29)
        dispatcher.wake.set()
        turns = journal.calls["turn"]
        await until(lambda: journal.calls["turn"] > turns)
        assert len(handler.ran) == 1

        await clock.advance(1)
        dispatcher.wake.set()
        await settled(journal, 1)

    assert [attempt for _, attempt in handler.ran] == [1, 2]


async def test_a_last_attempt_makes_a_dead_letter(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp")

    async with dispatching(opened("erp", Scripted(lambda *_: Retry("busy")), retry=RetryPolicy(1))):
        await settled(journal, 1, "dead")

    assert (await rows())[0]["error"] == "attempt 1 was the last: busy"


async def test_an_attempt_that_had_begun_when_the_daemon_stopped_keeps_its_number(
    dispatching, journal, folder, clock, rows
):
    await deliver(journal, folder, clock, "erp")
    work, _ = hanging()
    handler = Scripted(work)

    async with dispatching(opened("erp", handler)):
        await until(lambda: bool(handler.under_way))

    assert await state(rows) == [("ready", 1)]
    assert handler.under_way == 0


async def test_what_can_finish_within_the_limit_finishes(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp")
    work, release = hanging()
    handler = Scripted(work)

    async with dispatching(opened("erp", handler)) as dispatcher:
        await until(lambda: bool(handler.under_way))
        asyncio.get_running_loop().call_later(0.02, release.set)
        await dispatcher.stop(5)

    assert await state(rows) == [("done", 1)]


async def test_what_is_claimed_while_stopping_is_given_back_and_never_started(
    dispatching, journal, folder, clock, rows
):
    await deliver(journal, folder, clock, "erp", count=3)
    handler = Scripted()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold():
        reached.set()
        await go_on.wait()

    journal.after["turn"] = hold
    async with dispatching(opened("erp", handler)) as dispatcher:
        await reached.wait()
        await dispatcher.stop(0)
        go_on.set()

    assert handler.ran == []
    assert await state(rows) == [("ready", 0)] * 3


async def test_an_outcome_is_not_lost_when_the_journal_fails_and_the_handler_does_not_run_again(
    dispatching, *, journal, folder, clock, rows, notes
):
    await deliver(journal, folder, clock, "erp")
    work, release = hanging()
    handler = Scripted(work)

    async with dispatching(opened("erp", handler)):
        await until(lambda: bool(handler.under_way))
        journal.failures["turn"].extend([JournalError("The disk is full.")] * 3)
        release.set()
        for _ in range(3):
            await clock.wait_for_sleepers()
            await clock.advance(1)
        await settled(journal, 1)

    assert len(handler.ran) == 1
    assert await state(rows) == [("done", 1)]
    assert [subject for subject, _ in notes.problems] == [OUTCOMES] * 3
    assert OUTCOMES in notes.well


async def test_that_other_work_of_the_journal_succeeds_is_no_recovery_of_what_waits_in_hand(
    dispatching, *, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    async with dispatching(opened("erp"), stop=False) as dispatcher:
        journal.failures["turn"].append(JournalError("The disk is full."))  # a claim: nothing is in hand yet
        await clock.wait_for_sleepers()
        assert OUTCOMES not in dispatcher.unstored
        assert [subject for subject, _ in notes.problems] == ["journal"]


async def test_nothing_is_claimed_while_the_journal_does_not_take_the_results_of_mail_actions(
    dispatching, *, journal, folder, clock, rows
):
    async with dispatching(opened("erp")) as dispatcher:
        with pytest.raises(JournalError), dispatcher.unstored.storing(RESULTS):
            raise JournalError("The disk is full.")
        await deliver(journal, folder, clock, "erp")
        dispatcher.wake.set()
        await turns_in_a_while(journal)
        assert await state(rows) == [("ready", 0)]
        with dispatcher.unstored.storing(RESULTS):
            pass
        dispatcher.wake.set()
        await settled(journal, 1)


async def test_each_delivery_that_is_run_again_after_a_crash_is_told_as_it_starts(
    dispatching, *, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp", count=2)
    claimed = await journal.turn([], {"erp": 1}, clock.now(), lambda _: [], set())
    await journal.recover()
    async with dispatching(opened("erp")):
        await settled(journal, 2)
    [told] = notes.named("repeated")
    assert (told["delivery"], told["handler"], told["attempt"]) == (claimed[0].id, "erp", 2)


async def test_an_outcome_is_not_lost_when_the_room_ends_with_a_defect_and_runs_again(
    journal, folder, clock, rows, notes
):
    await deliver(journal, folder, clock, "erp")
    work, release = hanging()
    handler = Scripted(work)
    dispatcher = Dispatcher(
        desk(opened("erp", handler)),
        journal=journal,
        clock=clock,
        report=notes,
        bind_log=lambda _: None,
        acted=lambda: None,
    )
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: bool(handler.under_way))
    # The turn, the outcome by itself, and a dead letter in its place.
    journal.failures["turn"].extend([RuntimeError("a defect")] * 3)
    release.set()
    with pytest.raises(RuntimeError, match="a defect"):
        await task

    again = asyncio.create_task(dispatcher.run())
    await settled(journal, 1)
    await dispatcher.stop(0)
    await again

    assert len(handler.ran) == 1


async def test_a_full_disk_is_no_busy_loop(dispatching, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp")
    journal.failures["turn"].extend([JournalError("The disk is full.")] * 1000)

    async with dispatching(opened("erp"), stop=False):
        await clock.wait_for_sleepers()
        for _ in range(200):
            await asyncio.sleep(0)

        assert journal.calls["turn"] <= 2


async def test_a_turn_that_gives_nothing_back_brings_about_no_other(journal, clock, notes):
    dispatcher = Dispatcher(
        desk(), journal=journal, clock=clock, report=notes, bind_log=lambda _: None, acted=lambda: None
    )
    dispatcher._attempts.give_back([], clock.now())
    assert not dispatcher.wake._event.is_set()


async def test_the_limit_of_a_handler_is_never_exceeded(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", "log", count=20)
    slow, fast = Scripted(lambda *_: asyncio.sleep(0.002)), Scripted(lambda *_: asyncio.sleep(0.001))

    async with dispatching(opened("erp", slow, concurrency=3), opened("log", fast, concurrency=2)):
        await settled(journal, 40)

    assert slow.most_under_way == 3
    assert fast.most_under_way == 2


async def test_the_limit_over_all_handlers_is_never_exceeded(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "a", "b", "c", count=15)
    under_way, most = 0, 0

    async def work():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    handlers = [opened(name, Scripted(lambda *_: work()), concurrency=10) for name in "abc"]
    async with dispatching(*handlers, concurrency=4):
        await settled(journal, 45)

    assert most == 4


async def test_the_limits_hold_over_a_reload(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=10)
    work, release = hanging()
    old, new = Scripted(work), Scripted(work)

    async with dispatching(opened("erp", old, concurrency=4)) as dispatcher:
        await until(lambda: old.under_way == 4)
        replaced = dispatcher.desk
        dispatcher.desk = desk(opened("erp", new, concurrency=5))
        dispatcher.wake.set()
        await until(lambda: new.under_way == 1)
        release.set()
        await settled(journal, 10)

        assert old.most_under_way + 1 == 5
        assert new.most_under_way <= 5
        assert replaced.idle.is_set()


async def test_a_desk_is_not_put_away_between_a_claim_and_the_start(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")
    busy = []

    async with dispatching(opened("erp"), stop=True) as dispatcher:
        old = dispatcher.desk

        async def reload_meanwhile():
            busy.append(old.idle.is_set())
            dispatcher.desk = desk(opened("erp"))

        journal.after["turn"] = reload_meanwhile
        await settled(journal, 1)

    assert busy[0] is False


async def test_a_saturated_handler_neither_delays_others_nor_keeps_the_loop_busy(dispatching, journal, folder, clock):
    work, release = hanging()
    stuck, quick = Scripted(work), Scripted()
    await deliver(journal, folder, clock, "stuck", count=50)

    async with dispatching(opened("stuck", stuck, concurrency=2), opened("quick", quick)) as dispatcher:
        await until(lambda: stuck.under_way == 2)
        assert await turns_in_a_while(journal) <= 2

        await deliver(journal, folder, clock, "quick")
        dispatcher.wake.set()
        async with asyncio.timeout(0.5):
            await settled(journal, 1)
        release.set()
        await settled(journal, 51)


async def test_when_places_are_scarce_every_handler_gets_its_turn(dispatching, journal, folder, clock):
    greedy = Scripted(lambda *_: asyncio.sleep(0.001))
    await deliver(journal, folder, clock, "a", count=60)
    await deliver(journal, folder, clock, "z", count=1)
    done_before = []
    rare = Scripted(lambda *_: done_before.append(len(greedy.ran)))

    async with dispatching(opened("a", greedy), opened("m"), opened("z", rare), concurrency=1):
        await settled(journal, 61)

    assert done_before[0] < 10


async def test_scarce_places_that_nobody_wants_are_no_busy_loop(dispatching, journal, folder, clock):
    work, release = hanging()
    stuck = Scripted(work)
    await deliver(journal, folder, clock, "a", count=5)

    async with dispatching(opened("a", stuck, concurrency=1), opened("b"), opened("c"), concurrency=3):
        await until(lambda: bool(stuck.under_way))
        assert await turns_in_a_while(journal) <= 2
        release.set()


async def test_deliveries_of_a_handler_that_is_not_configured_stay_ready(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "gone", "erp")

    async with dispatching(opened("erp")):
        await settled(journal, 1)

    assert {row["handler"]: (row["state"], row["attempt"]) for row in await rows()} == {
        "gone": ("ready", 0),
        "erp": ("done", 1),
    }


async def test_deliveries_of_a_mailbox_that_is_not_configured_wait_and_lose_no_attempt(
    dispatching, *, journal, folder, clock, rows
):
    await deliver(journal, folder, clock, "erp")

    async with dispatching(opened("erp", retry=RetryPolicy(1))) as dispatcher:
        mails, dispatcher.desk.mails = dispatcher.desk.mails, {}
        await until(lambda: list(dispatcher.desk.absent) == [MAILBOX])
        await settled(journal, 1, "ready")
        assert "is not in the configuration any more" in (await rows())[0]["error"]

        dispatcher.desk.mails = mails
        await clock.advance(ABSENT_WAIT)
        dispatcher.wake.set()
        await settled(journal, 1)


async def crash(journal, clock, times, handler="erp"):
    """Let the daemon die that often while the delivery runs."""
    for _ in range(times):
        await journal.real.turn([], {handler: 9}, clock.now(), lambda _: [])
        await journal.real.recover()


async def test_a_suspect_whose_attempts_ran_out_is_dead_without_running(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp")
    await crash(journal, clock, 4)
    handler = Scripted()

    async with dispatching(opened("erp", handler, retry=RetryPolicy(3))):
        await settled(journal, 1, "dead")

    assert handler.ran == []
    assert (await rows())[0]["error"] == (
        "attempt 4 was the last of 3 that count, and the daemon died while it ran: 5 was not made"
    )


async def test_who_ran_beside_the_culprit_is_not_condemned_unheard_even_on_its_last_attempt(
    dispatching, *, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp")
    handler = Scripted(lambda *_: Retry("no answer", after=60.0) if len(handler.ran) == 1 else Done())
    async with dispatching(opened("erp", handler, retry=RetryPolicy(2))):
        await until(lambda: len(handler.ran) == 1)
    await clock.advance(60)
    await crash(journal, clock, 1)

    async with dispatching(opened("erp", handler, retry=RetryPolicy(2))):
        await settled(journal, 1)

    assert [attempt for _, attempt in handler.ran] == [1, 3]


async def test_a_suspect_is_not_said_to_have_died_more_often_than_it_did(
    dispatching, *, journal, folder, clock, rows, notes
):
    await deliver(journal, folder, clock, "erp")
    handler = Scripted(Retry("no answer", after=60.0))
    async with dispatching(opened("erp", handler, retry=RetryPolicy(2))):
        await until(lambda: len(handler.ran) == 1)
    await clock.advance(60)
    await crash(journal, clock, 2)

    async with dispatching(opened("erp", handler, retry=RetryPolicy(2))):
        await settled(journal, 1, "dead")

    assert len(handler.ran) == 1
    assert (await rows())[0]["error"] == OVERDRAWN.format(last=3, count=2, next=4)
    assert notes.named("delivery")[-1]["delivery"] == 1


async def test_a_suspect_with_attempts_left_runs(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")
    await crash(journal, clock, 2)
    handler = Scripted()

    async with dispatching(opened("erp", handler, retry=RetryPolicy(3))):
        await settled(journal, 1)

    assert [attempt for _, attempt in handler.ran] == [3]


async def test_suspects_run_one_at_a_time_and_all_get_their_turn(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=6)
    await crash(journal, clock, 1)
    handler = Scripted(lambda *_: asyncio.sleep(0.001))

    async with dispatching(opened("erp", handler)):
        await settled(journal, 6)

    assert handler.most_under_way == 1


RULE = Rule("all", ALWAYS, ("erp", "log"), then=(MoveTo("Processed"),), on_failure=(MarkRead(False),))


async def requested(journal, clock):
    return [(task.origin, task.actions) for task in await journal.real.claim_actions(9, clock.now())]


async def test_then_follows_only_when_all_deliveries_are_done(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", "log")
    work, release = hanging()

    async with dispatching(opened("erp", Scripted(work)), opened("log"), rules=[RULE]) as dispatcher:
        await settled(journal, 1)
        assert await requested(journal, clock) == []
        release.set()
        await settled(journal, 2)
        await until(lambda: bool(dispatcher.said_acted))

    assert await requested(journal, clock) == [("rule all then", RULE.then)]


async def test_on_failure_follows_when_one_delivery_is_dead(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", "log")

    async with dispatching(opened("erp", Scripted(lambda *_: Reject("bad"))), opened("log"), rules=[RULE]):
        await settled(journal, 1, "dead")
        await settled(journal, 1)

    assert await requested(journal, clock) == [("rule all on_failure", RULE.on_failure)]


async def test_actions_a_handler_asks_for_are_recorded_with_its_settlement(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")

    async with dispatching(opened("erp", Scripted(lambda *_: Done(actions=[MarkRead()])))) as dispatcher:
        await settled(journal, 1)
        await until(lambda: bool(dispatcher.said_acted))

    assert await requested(journal, clock) == [("handler erp", (MarkRead(),))]


async def test_trouble_around_the_handler_is_an_attempt_that_failed(journal, folder, clock, notes, rows):
    await deliver(journal, folder, clock, "erp")

    def no_log(_):
        raise OSError("no log")

    logging = Scripted(lambda _, context: context.log.info("here"))
    dispatcher = Dispatcher(
        desk(opened("erp", logging)), journal=journal, clock=clock, report=notes, bind_log=no_log, acted=lambda: None
    )
    task = asyncio.create_task(dispatcher.run())
    await until(lambda: bool(notes.named("delivery")))
    await dispatcher.stop(0)
    await task

    assert await state(rows) == [("ready", 1)]
    assert (await rows())[0]["error"].startswith("Crashed: OSError: no log")


async def test_an_attempt_that_cannot_be_stopped_is_given_up_and_keeps_its_place(
    dispatching, *, journal, folder, clock, rows, notes
):
    await deliver(journal, folder, clock, "erp", count=2)
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    handler = opened("erp", Scripted(lambda *_: stubborn()), timeout=0.01, concurrency=1)
    async with dispatching(handler) as dispatcher:
        await until(lambda: bool(handler.handler.under_way))
        await clock.advance(GRACE + 1)
        dispatcher.wake.set()
        await until(lambda: handler.stranded == 1)
        dispatcher.wake.set()
        turns = notes.fed[PROGRESS]
        await until(lambda: notes.fed[PROGRESS] > turns)
        assert len(handler.handler.ran) == 1

        release.set()
        await until(lambda: handler.stranded == 0)

    assert "it cannot be stopped" in (await rows())[0]["error"]


async def test_a_mail_whose_attempt_cannot_be_stopped_takes_one_place_however_often_it_is_tried(
    dispatching, *, journal, folder, clock, rows, notes
):
    release = threading.Event()

    class Stuck(Handler[Plain]):
        def handle(self, message, context):
            release.wait(30)

    handler = opened("erp", Stuck(Plain()), timeout=0.01, concurrency=1, retry=RetryPolicy(3, 1.0, 1.0))
    await deliver(journal, folder, clock, "erp")
    try:
        async with dispatching(handler) as dispatcher:
            await until(lambda: [subject for subject, _ in notes.problems] == ["places erp"])
            handler.concurrency = 2
            for attempt in (2, 3):
                await clock.advance(2)
                dispatcher.wake.set()
                await until(lambda attempt=attempt: len(notes.named("delivery")) == attempt)
            await settled(journal, 1, "dead")
            assert handler.stranded == 1
            assert "places erp" in notes.well
            release.set()
            await until(lambda: not handler.stuck)
    finally:
        release.set()
    assert (await rows())[0]["error"] == f"attempt 3 was the last: TimedOut: {STUCK}"


async def test_a_quiet_night_feeds_the_watchdog(dispatching, notes, clock):
    async with dispatching(opened("erp")) as dispatcher:
        for count in range(1, 4):
            dispatcher.wake.set()
            await until(lambda count=count: notes.fed[PROGRESS] >= count)


async def test_many_quick_deliveries_take_few_turns(dispatching, journal: FailingJournal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=500)

    async with dispatching(opened("erp", concurrency=100)):
        await settled(journal, 500)

    assert journal.calls["turn"] < 30


async def test_a_page_is_kept_half_of_the_places_at_most(dispatching):
    async with dispatching(opened("erp", concurrency=10), opened("log", concurrency=3), concurrency=16) as dispatcher:
        first = dispatcher.reserve(MAILBOX, {"erp": 50, "log": 1, "gone": 7})
        second = dispatcher.reserve(MAILBOX, {"erp": 50})

        assert (first.room, second.room) == ({"erp": 7, "log": 1}, {"erp": 3})
        for places in (first, second):
            dispatcher.take(places, PageResult())
        assert dispatcher.desk.idle.is_set()


async def test_a_page_never_gets_the_last_place(dispatching, journal, folder, clock):
    async with dispatching(opened("erp"), concurrency=1) as dispatcher:
        places = dispatcher.reserve(MAILBOX, {"erp": 1})
        dispatcher.take(places, PageResult())

    assert places.room == {}


async def test_a_page_and_a_claim_at_the_same_time_take_no_place_twice(dispatching, journal, folder, clock):
    work, release = hanging()
    handler = Scripted(work)
    asking, go_on = asyncio.Event(), asyncio.Event()

    async def wait():
        asking.set()
        await go_on.wait()

    await deliver(journal, folder, clock, "erp")
    journal.before["turn"] = wait
    async with dispatching(opened("erp", handler, concurrency=1)) as dispatcher:
        await asking.wait()
        places = dispatcher.reserve(MAILBOX, {"erp": 1})
        assert places.room == {}
        dispatcher.take(places, PageResult())
        go_on.set()
        release.set()
        await settled(journal, 1)


async def test_while_nothing_waits_a_page_finds_half_of_the_places_beside_a_claim(dispatching, journal):
    asking, go_on = asyncio.Event(), asyncio.Event()

    async def wait():
        asking.set()
        await go_on.wait()

    async with dispatching(opened("erp", concurrency=10)) as dispatcher:
        await until(lambda: journal.calls["turn"] > 0)
        journal.before["turn"] = wait
        dispatcher.wake.set()
        await asking.wait()
        places = dispatcher.reserve(MAILBOX, {"erp": 50})
        assert places.room == {"erp": 5}
        dispatcher.take(places, PageResult())
        go_on.set()


async def test_a_mailbox_whose_mails_take_long_leaves_the_others_places(dispatching, journal, clock):
    specs = [FolderSpec("default", f"{name}@contoso.example", "Inbox", None) for name in ("slow", "quick")]
    slow, quick = await journal.adopt(specs, clock.now())
    rules = {spec.mailbox: {"all": Rule("all", ALWAYS, ("erp",))} for spec in specs}
    work, release = hanging()
    handler = Scripted(lambda message, _: work() if message.mailbox == slow.mailbox else Done())
    await deliver(journal, slow, clock, "erp", count=300)

    async with dispatching(opened("erp", handler, concurrency=8, timeout=600.0)) as dispatcher:
        dispatcher.desk.mails = {spec.mailbox: ScriptedMail(spec.mailbox) for spec in specs}
        dispatcher.desk.rules = rules
        await until(lambda: handler.under_way == 6)
        for number in range(1, 11):
            await deliver(journal, quick, clock, "erp", count=5)
            dispatcher.wake.set()
            await settled(journal, 5 * number)
        places = dispatcher.reserve(slow.mailbox, {"erp": 50})
        assert places.room == {}
        dispatcher.take(places, PageResult())
        places = dispatcher.reserve(quick.mailbox, {"erp": 50})
        assert places.room == {"erp": 1}
        dispatcher.take(places, PageResult())
        assert handler.under_way == 6
        release.set()
        await settled(journal, 350)


async def test_while_a_mailbox_has_its_share_nothing_is_asked_again_and_again(dispatching, journal, clock):
    specs = [FolderSpec("default", f"{name}@contoso.example", "Inbox", None) for name in ("slow", "quick")]
    slow, _ = await journal.adopt(specs, clock.now())
    release = asyncio.Event()
    handler = Scripted(lambda *_: release.wait())
    await deliver(journal, slow, clock, "erp", count=300)

    async with dispatching(opened("erp", handler, concurrency=8, timeout=600.0)) as dispatcher:
        dispatcher.desk.mails = {spec.mailbox: ScriptedMail(spec.mailbox) for spec in specs}
        await until(lambda: handler.under_way == 6)
        assert await turns_in_a_while(journal) <= 1
        release.set()


async def test_what_was_claimed_with_a_page_while_stopping_is_given_back(dispatching, journal, folder, clock, rows):
    handler = Scripted()
    async with dispatching(opened("erp", handler)) as dispatcher:
        places = dispatcher.reserve(MAILBOX, {"erp": 1})
        await dispatcher.stop(0)
        new = NewMessage(make_message(), (MatchedRule("all", ("erp",)),))
        result = await journal.commit_page(
            PageCommit(folder.key, [new], "link", "round", clock.now(), room=places.room)
        )
        assert await state(rows) == [("running", 1)]
        dispatcher.take(places, result)

    assert handler.ran == []
    assert await state(rows) == [("ready", 0)]


async def test_actions_that_came_with_a_page_are_told(dispatching):
    async with dispatching(opened("erp")) as dispatcher:
        dispatcher.take(dispatcher.reserve(MAILBOX, {}), PageResult(actions=1))
        assert dispatcher.said_acted


class Panic(BaseException):
    """What a Rust extension raises: no Exception."""


async def panic_later():
    await asyncio.sleep(0)
    raise Panic("the extension broke")


def panic(*_):
    raise Panic("the extension broke")


async def cancel_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (panic, "Crashed: Panic: the extension broke at "),
        (lambda *_: panic_later(), "Crashed: Panic: the extension broke at "),
        (lambda *_: cancel_itself(), "Crashed: CancelledError: "),
    ],
)
async def test_whatever_a_handler_raises_its_delivery_is_settled_and_others_run_on(
    work, error, *, dispatching, journal, folder, clock, rows
):
    await deliver(journal, folder, clock, "broken", "erp", count=3)

    async with dispatching(opened("broken", Scripted(work), retry=RetryPolicy(1)), opened("erp")):
        await settled(journal, 3, "dead")
        await settled(journal, 3)

    assert all(error in row["error"] for row in await rows() if row["handler"] == "broken")


async def test_a_handler_that_cancels_its_task_and_is_done_harms_nobody(dispatching, journal, folder, clock, rows):
    await deliver(journal, folder, clock, "erp", count=3)
    handler = Scripted(lambda *_: asyncio.current_task().cancel() and Done())

    async with dispatching(opened("erp", handler)):
        await settled(journal, 3)

    assert len(handler.ran) == 3
    assert await state(rows) == [("done", 1)] * 3


async def test_who_has_to_wait_keeps_nobody_else_from_running(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=5)
    release = asyncio.Event()
    ran = []

    async def every_second_waits():
        ran.append(1)
        if len(ran) % 2:
            await release.wait()

    handler = Scripted(lambda *_: every_second_waits())
    async with dispatching(opened("erp", handler)):
        await until(lambda: len(ran) == 5)
        await settled(journal, 2)
        assert handler.under_way == 3
        release.set()
        await settled(journal, 5)


async def test_an_attempt_that_a_defect_of_ours_ended_is_settled_all_the_same(
    dispatching, *, journal, folder, clock, rows, monkeypatch
):
    await deliver(journal, folder, clock, "erp")

    async def broken(*_):
        raise Panic("a defect")

    monkeypatch.setattr(Attempts, "_run", broken)
    async with dispatching(opened("erp", retry=RetryPolicy(1))):
        await settled(journal, 1, "dead")

    assert "Crashed: Panic: a defect" in (await rows())[0]["error"]


class Unequal:
    """A value whose comparison is nobody's business but its owner's."""

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None


async def test_what_a_handler_leaves_in_the_context_is_not_seen_with_the_next_mail(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=3)
    variable, seen = contextvars.ContextVar("variable", default="clean"), []

    def work(*_):
        seen.append(variable.get())
        variable.set(Unequal())

    async with dispatching(opened("erp", Scripted(work))):
        await settled(journal, 3)

    assert [type(value) for value in seen] == [str] * 3


async def test_handlers_that_take_long_without_waiting_let_others_have_the_event_loop(
    dispatching, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp", count=6)
    passes, ran_in = 0, []

    async def count_passes():
        nonlocal passes
        while True:
            await asyncio.sleep(0)
            passes += 1

    def take_long(*_):
        ran_in.append(passes)
        clock._seconds += LONGEST_STRETCH * 0.6

    counting = asyncio.create_task(count_passes())
    async with dispatching(opened("erp", Scripted(take_long))):
        await settled(journal, 6)
    counting.cancel()

    assert len(set(ran_in)) > 2


async def test_an_outcome_that_cannot_be_stored_is_a_dead_letter_and_keeps_no_other_from_being_stored(
    dispatching, journal, folder, clock, rows
):
    class Odd(MarkRead):
        """An action of a plug-in's own making."""

        __hash__ = None

    await deliver(journal, folder, clock, "odd", "erp", count=2)

    async with dispatching(opened("odd", Scripted(lambda *_: Done("odd", (Odd(),)))), opened("erp")):
        await settled(journal, 2, "dead")
        await settled(journal, 2)

    errors = {row["error"] for row in await rows() if row["handler"] == "odd"}
    assert all(error.startswith("Its outcome cannot be stored. Crashed: TypeError: ") for error in errors)
    assert errors


async def test_a_list_of_categories_is_as_good_as_a_tuple(dispatching, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")

    async with dispatching(opened("erp", Scripted(lambda *_: Done(actions=[Categorise(["red"])])))):
        await settled(journal, 1)

    assert await requested(journal, clock) == [("handler erp", (Categorise(("red",)),))]


async def test_an_attempt_that_cannot_be_stopped_is_given_up_under_steady_load_too(dispatching, journal, folder, clock):
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    stuck, steady = opened("stuck", Scripted(lambda *_: stubborn()), timeout=0.01), opened("steady", concurrency=1)
    await deliver(journal, folder, clock, "stuck")
    await deliver(journal, folder, clock, "steady", count=40)
    stranded = []

    async def look():
        if journal.calls["turn"] == 5:
            clock._seconds += GRACE + 1
        stranded.append(stuck.stranded)

    journal.after["turn"] = look
    async with dispatching(stuck, steady):
        await settled(journal, 40)
        release.set()
        await until(lambda: not stuck.handler.under_way)

    assert stranded[:20][-1] == 1


async def test_a_turn_that_only_reads_does_not_say_the_journal_works_again(dispatching, journal, folder, clock, notes):
    async with dispatching(opened("erp")) as dispatcher:
        turns = journal.calls["turn"]
        dispatcher.wake.set()
        await until(lambda: journal.calls["turn"] > turns + 1)
        assert notes.well == []

        await deliver(journal, folder, clock, "erp")
        dispatcher.wake.set()
        await settled(journal, 1)
        await until(lambda: "journal" in notes.well)


@pytest.mark.parametrize("others", [(), (Rule("other", ALWAYS, ("erp",), then=(MarkRead(),)),)])
async def test_a_rule_renamed_while_its_mails_wait_is_said_once_to_ask_for_nothing_any_more(
    dispatching, *, journal, folder, clock, notes, others
):
    await deliver(journal, folder, clock, "erp", count=3, rule="bills")
    async with dispatching(opened("erp"), rules=others):
        await settled(journal, 3)
        await until(lambda: notes.named("rule_lost"))
        await deliver(journal, folder, clock, "erp", count=3, rule="bills")
        await settled(journal, 6)

    assert notes.named("rule_lost") == [{"mailbox": MAILBOX, "rule": "bills"}]


@pytest.mark.parametrize("rule", [UNROUTED, UNDATED])
async def test_of_a_mail_set_aside_no_rule_is_said_to_be_lost(dispatching, *, journal, folder, clock, notes, rule):
    await deliver(journal, folder, clock, ROUTING, rule=rule.name)
    async with dispatching(opened(ROUTING), rules=[Rule("bills", ALWAYS, ("erp",), then=(MarkRead(),))]):
        await settled(journal, 1)

    assert not notes.named("rule_lost")


async def test_of_a_rule_that_is_there_nothing_is_said(dispatching, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp", rule="bills")
    async with dispatching(opened("erp"), rules=[Rule("bills", ALWAYS, ("erp",))]):
        await settled(journal, 1)

    assert not notes.named("rule_lost")
