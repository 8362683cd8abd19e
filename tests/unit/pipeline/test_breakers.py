"""An outage costs no mail an attempt and everything follows when it is over; a poisonous mail is found all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web

from postroom.graph.session import handler_session
from postroom.handlers.webhook import Webhook, WebhookOptions
from postroom.journal import JournalViews
from postroom.model import BreakerPolicy, Done, Reject, Retry, RetryPolicy, Skip
from postroom.pipeline.dispatch import PROGRESS, Dispatcher
from postroom.ports import MatchedRule, NewMessage, PageCommit
from postroom.testing import make_message
from support.pipeline import MAILBOX, Scripted, ScriptedMail, counted, deliver, desk, opened, until

HOUR = 3600.0
POLICY = BreakerPolicy(after=5, probe=30.0, longest=600.0)
ERP = {"breaker": POLICY, "retry": RetryPolicy(8, 30.0, 6 * HOUR)}


class Bench:
    """A dispatcher that runs, and the clock it goes by."""

    def __init__(self, dispatcher, journal, clock, notes):
        self.dispatcher = dispatcher
        self.journal = journal
        self.clock = clock
        self.notes = notes

    async def go_round(self, times=2):
        """Let the dispatcher look at what there is."""
        for _ in range(times):
            before = self.notes.fed[PROGRESS]
            self.dispatcher.wake.set()
            await until(lambda before=before: self.notes.fed[PROGRESS] > before)

    async def pass_time(self, seconds):
        await self.clock.advance(seconds)
        await self.go_round()

    async def rows(self):
        return await JournalViews(self.journal.real).deliveries(limit=10_000)

    async def quiet(self):
        """Wait until nothing runs and nothing is in hand."""
        await until(lambda: not self.dispatcher._attempts)
        await self.go_round()


@pytest.fixture
def running(journal, clock, notes):
    """Run a dispatcher while the test looks on."""

    @asynccontextmanager
    async def run(*handlers, **fields):
        dispatcher = Dispatcher(
            desk(*handlers, **fields),
            journal=journal,
            clock=clock,
            report=notes,
            bind_log=lambda _: None,
            acted=lambda: None,
            random=Random(7),
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield Bench(dispatcher, journal, clock, notes)
        finally:
            await dispatcher.stop(0)
            async with asyncio.timeout(5):
                await task

    return run


class Weather(Scripted):
    """Done while the weather is good; else each attempt fails for the same reason. Some mails are poison."""

    def __init__(self):
        super().__init__(self.answer)
        self.is_good = True
        self.poison = set()
        self.reason = "erp.example could not be reached: Connection refused."

    def answer(self, message, _context):
        if message.id in self.poison:
            raise ValueError(f"{message.subject} cannot be read")
        return Done() if self.is_good else Retry(self.reason)


async def outage(bench, folder, handler, count=5):
    """Let so many mails fail alike."""
    handler.is_good = False
    messages = await deliver(bench.journal, folder, bench.clock, "erp", count=count)
    bench.dispatcher.wake.set()
    await until(lambda: {each.id for each in messages} <= {key for key, _ in handler.ran})
    await bench.quiet()
    return messages


@asynccontextmanager
async def receiver(port=0):
    """An HTTP server that takes everything."""
    app = web.Application()

    async def take(_request):
        return web.Response()

    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.timeout(90)
async def test_after_three_hours_without_the_target_all_of_500_mails_are_handled_within_minutes_and_none_is_dead(
    running, folder
):
    async with receiver() as port:
        pass  # a port where nobody listens any more
    webhook = Webhook(WebhookOptions(url=f"http://127.0.0.1:{port}/hook"))
    async with (
        handler_session() as http,
        running(opened("erp", webhook, **ERP, concurrency=20)) as bench,
    ):
        bench.dispatcher.desk.http = http
        for minute in range(180):
            if minute % 18 == 0:
                await deliver(bench.journal, folder, bench.clock, "erp", count=50)
            await bench.pass_time(60.0)
            await bench.quiet()
        during = await bench.rows()
        assert {row.state for row in during} == {"ready"}
        assert all("could not be reached" in row.held for row in during)
        async with receiver(port):
            since = bench.clock.monotonic()
            while (await bench.journal.real.counts())["deliveries.done"] == 0:
                await bench.pass_time(5.0)
                await bench.quiet()
            await counted(bench.journal, "deliveries.done", 500)
            assert bench.clock.monotonic() - since <= POLICY.longest + 60.0
        rows = await bench.rows()
    assert {row.state for row in rows} == {"done"}
    assert max(row.attempt for row in rows) <= 4
    failed = sum(row.attempt - 1 for row in rows)
    assert failed <= 60, "the target was hardly bothered while it was down"


async def test_one_poisonous_mail_among_good_ones_is_dead_after_its_attempts_and_holds_nobody(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(4, 10.0, 60.0))) as bench:
        [poison] = await deliver(bench.journal, folder, bench.clock, "erp")
        handler.poison = {poison.id}
        for _ in range(10):
            await deliver(bench.journal, folder, bench.clock, "erp", count=3)
            await bench.pass_time(30.0)
            await bench.quiet()
        assert not bench.notes.problems
        rows = {row.message_id: row for row in await bench.rows()}
    assert (rows[1].state, rows[1].attempt) == ("dead", 4)
    assert {row.state for key, row in rows.items() if key != 1} == {"done"}


async def test_a_poisonous_mail_alone_is_dead_after_its_attempts(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(8, 10.0, 60.0))) as bench:
        [poison] = await deliver(bench.journal, folder, bench.clock, "erp")
        handler.poison = {poison.id}
        for _ in range(10):
            await bench.pass_time(60.0)
            await bench.quiet()
        assert [(row.state, row.attempt) for row in await bench.rows()] == [("dead", 8)]
        assert not bench.notes.problems


async def test_poison_that_looked_like_weather_is_found_once_a_good_mail_was_done(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(3, 10.0, 60.0))) as bench:
        poison = await deliver(bench.journal, folder, bench.clock, "erp", count=6)
        handler.poison = {each.id for each in poison}
        await bench.go_round()
        await bench.quiet()
        assert [subject for subject, _ in bench.notes.problems] == ["handler erp"]
        await deliver(bench.journal, folder, bench.clock, "erp")
        for _ in range(40):
            await bench.pass_time(60.0)
            await bench.quiet()
        states = [row.state for row in sorted(await bench.rows(), key=lambda row: row.id)]
    assert states == ["dead"] * 6 + ["done"]


async def test_a_slow_target_is_asked_by_one_mail_at_a_time_once_it_is_known_to_be_down(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP, concurrency=20, timeout=HOUR)) as bench:
        await outage(bench, folder, handler, count=20)
        hanging, release = 0, asyncio.Event()

        async def hang():
            nonlocal hanging
            hanging += 1
            await release.wait()
            return Retry("TimedOut: no answer")

        handler.work = lambda *_: hang()
        handler.most_under_way = 0
        await deliver(bench.journal, folder, bench.clock, "erp", count=200)
        await bench.pass_time(30.0)
        await until(lambda: hanging == 1)
        for _ in range(10):
            await bench.pass_time(60.0)
        assert (hanging, handler.most_under_way) == (1, 1)
        release.set()
        await bench.quiet()


async def test_what_failed_when_it_began_gets_its_attempts_back_and_shows_why_it_is_held(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler, count=10)
        rows = await bench.rows()
    assert {(row.state, row.attempt, row.granted) for row in rows} == {("ready", 1, 1)}
    assert {row.held for row in rows} == {handler.reason}


async def test_it_is_said_once_when_it_begins_and_once_when_it_ends(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler, count=10)
        assert [each["state"] for each in bench.notes.named("breaker")] == ["open"]
        [(subject, error)] = bench.notes.problems
        assert (subject, error.remedy != "") == ("handler erp", True)
        assert handler.reason in error.message
        handler.is_good = True
        await bench.pass_time(30.0)
        await counted(bench.journal, "deliveries.done", 10)
        assert [each["state"] for each in bench.notes.named("breaker")] == ["open", "closed"]
        assert bench.notes.well.count("handler erp") == 1
        await bench.quiet()
        assert await bench.journal.real.held() == []


async def test_a_mail_that_waited_for_hours_since_the_outage_is_due_with_the_others(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(8, 5 * HOUR, 6 * HOUR))) as bench:
        await outage(bench, folder, handler, count=4)
        await bench.pass_time(1.0)
        await outage(bench, folder, handler, count=1)
        handler.is_good = True
        await bench.pass_time(31.0)
        await counted(bench.journal, "deliveries.done", 5)


async def test_after_a_restart_one_mail_is_tried_at_once_and_none_is_run_without_need(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler, count=10)
        await deliver(bench.journal, folder, bench.clock, "erp", count=50)
    ran = len(handler.ran)
    async with running(opened("erp", handler, **ERP)) as bench:
        await until(lambda: len(handler.ran) == ran + 1)
        await bench.quiet()
        assert len(handler.ran) == ran + 1
        handler.is_good = True
        await bench.pass_time(60.0)
        await counted(bench.journal, "deliveries.done", 60)


async def test_a_reload_tries_one_at_once_and_may_switch_it_off(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler, count=10)
        ran = len(handler.ran)
        bench.dispatcher.desk = desk(opened("erp", handler, **ERP))
        await bench.go_round()
        await until(lambda: len(handler.ran) == ran + 1)
        await bench.quiet()
        handler.is_good = True
        bench.dispatcher.desk = desk(opened("erp", handler, **(ERP | {"breaker": None})))
        await bench.go_round()
        await counted(bench.journal, "deliveries.done", 10)
        assert bench.notes.well.count("handler erp") == 1


async def test_a_burst_of_poison_delays_good_mail_by_minutes_and_not_by_hours(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        poison = await deliver(bench.journal, folder, bench.clock, "erp", count=30)
        handler.poison = {each.id for each in poison}
        bench.dispatcher.wake.set()
        await until(lambda: bool(bench.notes.problems))
        for _ in range(10):
            [good] = await deliver(bench.journal, folder, bench.clock, "erp")
            since = bench.clock.monotonic()
            while good.id not in {key for key, _ in handler.ran}:
                await bench.pass_time(10.0)
                await bench.quiet()
            assert bench.clock.monotonic() - since <= 2 * POLICY.probe
            await bench.pass_time(60.0)
        states = Counter(row.state for row in await bench.rows())
    assert states["done"] == 10


async def test_a_target_that_lets_some_mails_through_is_held_again_for_those_it_refused_before(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        lucky, *refused = await outage(bench, folder, handler)
        [fresh] = await deliver(bench.journal, folder, bench.clock, "erp")
        handler.work = lambda message, _: Done() if message.id in {fresh.id, lucky.id} else Retry(handler.reason)
        await bench.pass_time(30.0)
        await counted(bench.journal, "deliveries.done", 2)
        await bench.quiet()
        assert [subject for subject, _ in bench.notes.problems] == ["handler erp"]
        assert bench.notes.well.count("handler erp") == 1
        await deliver(bench.journal, folder, bench.clock, "erp")
        for _ in range(4):
            await bench.pass_time(60.0)
            await bench.quiet()
        assert [subject for subject, _ in bench.notes.problems].count("handler erp") > 1
        rows = [row for row in await bench.rows() if row.state == "ready"]
    assert len(rows) == len(refused) + 1
    assert all(row.held for row in rows)


async def test_mails_that_wait_for_somebody_are_no_outage_and_hold_nobody(running, folder):
    handler = Weather()
    handler.work = lambda *_: Retry("not approved yet", after=60.0, waiting=True)
    async with running(opened("erp", handler, **ERP)) as bench:
        for _ in range(3):
            await deliver(bench.journal, folder, bench.clock, "erp", count=20)
            await bench.pass_time(70.0)
            await bench.quiet()
        rows = await bench.rows()
        assert not bench.notes.problems
    assert all(row.attempt for row in rows)
    assert sum(row.attempt for row in rows) >= 20 * (1 + 2 + 3), "one at least for each time that passed"
    assert {(row.state, row.granted) for row in rows} == {("ready", 0)}


async def test_a_probe_that_waits_for_somebody_is_followed_by_the_next_at_once_and_is_no_failure(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler)
        await deliver(bench.journal, folder, bench.clock, "erp", count=5)
        handler.work = lambda *_: Retry("not approved yet", after=HOUR, waiting=True)
        ran = len(handler.ran)
        await bench.pass_time(30.0)
        await until(lambda: len(handler.ran) == ran + 10)
        await bench.quiet()
        assert "handler erp" not in bench.notes.well, "it has not been shown that it works"
        handler.work = handler.answer
        handler.is_good = True
        await bench.pass_time(HOUR)
        await counted(bench.journal, "deliveries.done", 10)
        assert "handler erp" in bench.notes.well


async def test_one_handler_that_is_held_keeps_no_other_from_running(running, folder):
    handler, other = Weather(), Scripted()
    async with running(opened("erp", handler, **ERP), opened("log", other, breaker=POLICY)) as bench:
        await outage(bench, folder, handler)
        await deliver(bench.journal, folder, bench.clock, "erp", "log", count=10)
        bench.dispatcher.wake.set()
        await counted(bench.journal, "deliveries.done", 10)
    assert len(other.ran) == 10


async def test_without_a_breaker_an_outage_uses_attempts_up(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, retry=RetryPolicy(2, 10.0, 60.0))) as bench:
        await outage(bench, folder, handler, count=10)
        await bench.pass_time(60.0)
        await counted(bench.journal, "deliveries.dead", 10)


async def test_who_shall_never_be_run_twice_is_not_even_in_an_outage(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(1))) as bench:
        await outage(bench, folder, handler, count=5)
        await counted(bench.journal, "deliveries.dead", 5)


async def test_a_probe_that_has_nothing_to_do_is_followed_by_the_next_at_once(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler)
        handler.work = lambda *_: Skip("no attachment")
        await bench.pass_time(30.0)
        await counted(bench.journal, "deliveries.done", 5)
        assert "handler erp" not in bench.notes.well, "it has not been shown that it works"


async def test_rejects_are_followed_by_the_next_at_once_when_the_target_answers_again(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler, count=10)
        handler.work = lambda *_: Reject("erp.example answered 422")
        await bench.pass_time(30.0)
        await counted(bench.journal, "deliveries.dead", 10)


async def test_mails_that_crash_a_handler_alike_in_a_quiet_mailbox_are_dead_letters_in_the_end(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(3, 30.0, HOUR))) as bench:
        poison = await deliver(bench.journal, folder, bench.clock, "erp", count=5)
        handler.poison = {each.id for each in poison}
        bench.dispatcher.wake.set()
        await until(lambda: bool(bench.notes.problems))
        await bench.quiet()
        for _ in range(40):
            await bench.pass_time(POLICY.longest)
            await bench.quiet()
        rows = await bench.rows()
    assert {row.state for row in rows} == {"dead"}
    assert len(handler.ran) <= 5 * (3 + 1)


async def test_a_connection_that_fails_in_a_handlers_own_code_uses_no_attempts_up(running, folder):
    handler = Weather()

    def refused(*_):
        raise ConnectionRefusedError("erp.example")

    async with running(opened("erp", handler, breaker=POLICY, retry=RetryPolicy(3, 30.0, HOUR))) as bench:
        await outage(bench, folder, handler)
        handler.work = refused
        for _ in range(30):
            await bench.pass_time(POLICY.longest)
            await bench.quiet()
        assert {row.state for row in await bench.rows()} == {"ready"}


async def test_a_mail_is_not_tried_before_the_handler_wants_to_see_it_again_though_it_is_held(running, folder):
    handler = Weather()
    often = BreakerPolicy(after=5, probe=1.0, longest=5.0)
    async with running(opened("erp", handler, **(ERP | {"breaker": often}))) as bench:
        await outage(bench, folder, handler)
        handler.work = lambda *_: Retry("waiting for approval", after=HOUR)
        for _ in range(30):
            await bench.pass_time(60.0)
            await bench.quiet()
        ran = len(handler.ran)
        assert ran <= 5 + 5
        await bench.pass_time(HOUR)
        await bench.quiet()
        assert len(handler.ran) > ran


async def test_a_page_that_comes_while_it_is_held_starts_nothing(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        await outage(bench, folder, handler)
        places = bench.dispatcher.reserve(MAILBOX, {"erp": 5})
        assert not places.room


async def dies_while_running(bench_journal, clock, times, handler="erp"):
    """Let the daemon die that often while what is due runs."""
    for _ in range(times):
        await bench_journal.real.turn([], {handler: 9}, clock.now(), lambda _: [])
        await bench_journal.real.recover()


async def test_the_last_attempt_of_a_suspect_waits_until_nothing_else_runs_and_nothing_starts_beside_it(
    running, *, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 2)
    slow, suspect = Scripted(), Scripted()
    releases = {"log": asyncio.Event(), "erp": asyncio.Event()}
    slow.work = lambda *_: releases["log"].wait()
    suspect.work = lambda *_: releases["erp"].wait()
    await deliver(journal, folder, clock, "log", count=3)
    policy = {"retry": RetryPolicy(2), "timeout": HOUR}
    async with running(opened("log", slow, **policy), opened("erp", suspect, **policy)) as bench:
        await until(lambda: slow.under_way == 3)
        await bench.go_round()
        assert suspect.under_way == 0
        await deliver(journal, folder, clock, "log", count=3)
        await bench.go_round()
        assert slow.under_way == 3
        releases["log"].set()
        await until(lambda: suspect.under_way == 1)
        await bench.go_round()
        assert (slow.under_way, len(slow.ran)) == (0, 3)
        releases["erp"].set()
        await until(lambda: len(slow.ran) == 6)
        await bench.quiet()


async def test_a_suspect_with_more_attempts_to_come_keeps_nobody_waiting(running, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 1)
    other, suspect, release = Scripted(), Scripted(), asyncio.Event()
    suspect.work = lambda *_: release.wait()
    await deliver(journal, folder, clock, "log", count=3)
    async with running(opened("log", other), opened("erp", suspect, timeout=HOUR)) as bench:
        await until(lambda: suspect.under_way == 1)
        await until(lambda: len(other.ran) == 3)
        release.set()
        await bench.quiet()


async def test_a_neighbour_that_does_not_end_keeps_a_suspect_waiting_for_a_minute_at_most(
    running, *, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 2)
    slow, suspect, release = Scripted(), Scripted(), asyncio.Event()
    slow.work = lambda *_: release.wait()
    await deliver(journal, folder, clock, "log")
    policy = {"retry": RetryPolicy(2), "timeout": HOUR}
    async with running(opened("log", slow, **policy), opened("erp", suspect, **policy)) as bench:
        await until(lambda: slow.under_way == 1)
        await bench.pass_time(59.0)
        assert not suspect.ran
        await bench.pass_time(2.0)
        await until(lambda: len(suspect.ran) == 1)
        release.set()
        await bench.quiet()


async def test_a_suspect_that_runs_long_is_alone_for_a_minute_only_and_is_told_of(
    running, *, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 2)
    slow, quick, release = Scripted(), Scripted(), asyncio.Event()
    slow.work = lambda *_: release.wait()
    policy = {"retry": RetryPolicy(2), "timeout": HOUR}
    async with running(opened("erp", slow, **policy), opened("log", quick)) as bench:
        await until(lambda: slow.under_way == 1)
        await deliver(journal, folder, clock, "log", count=5)
        await bench.pass_time(50.0)
        assert not quick.ran
        await until(lambda: [subject for subject, _ in notes.problems] == ["alone erp"])
        await bench.pass_time(11.0)
        await until(lambda: len(quick.ran) == 5)
        assert slow.under_way == 1
        assert "alone erp" in notes.well
        release.set()
        await bench.quiet()


async def test_a_stop_gives_back_a_suspect_that_waits_to_be_alone(running, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 2)
    slow, suspect = Scripted(), Scripted()
    slow.work = lambda *_: asyncio.Event().wait()
    await deliver(journal, folder, clock, "log")
    policy = {"retry": RetryPolicy(2), "timeout": HOUR}
    async with running(opened("log", slow, **policy), opened("erp", suspect, **policy)) as bench:
        await until(lambda: slow.under_way == 1)
        await until(lambda: bench.dispatcher._attempts.alone is not None)
    rows = {row.handler: row for row in await JournalViews(journal.real).deliveries()}
    assert (rows["erp"].state, rows["erp"].attempt, rows["erp"].suspect) == ("ready", 2, True)
    assert not suspect.ran


async def test_with_one_attempt_a_handler_is_not_run_again_after_a_crash(running, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")
    await dies_while_running(journal, clock, 1)
    handler = Scripted()
    async with running(opened("erp", handler, retry=RetryPolicy(1))):
        await counted(journal, "deliveries.dead", 1)
    assert not handler.ran


async def test_what_was_claimed_just_before_it_opened_is_given_back_unrun(running, folder):
    handler = Weather()
    async with running(opened("erp", handler, **ERP)) as bench:
        places = bench.dispatcher.reserve(MAILBOX, {"erp": 2})
        new = [NewMessage(make_message(), (MatchedRule("all", ("erp",)),)) for _ in range(2)]
        commit = PageCommit(folder.key, new, "link", "round", bench.clock.now(), room=places.room)
        page = await bench.journal.commit_page(commit)
        assert len(page.claimed) == 2
        handler.is_good = False
        await deliver(bench.journal, folder, bench.clock, "erp", count=5)
        bench.dispatcher.wake.set()
        await until(lambda: bool(bench.notes.problems))
        bench.dispatcher.take(places, page)
        await bench.quiet()
        rows = {row.id: row for row in await bench.rows()}
        assert [(rows[each.id].state, rows[each.id].attempt) for each in page.claimed] == [("ready", 0)] * 2
        assert not {each.message.id for each in page.claimed} & {key for key, _ in handler.ran}


async def test_an_attempt_given_up_while_the_mailbox_does_not_answer_costs_nothing(running, *, journal, folder, clock):
    mail = ScriptedMail()
    mail.body = lambda *_: asyncio.Event().wait()
    handler = Scripted(lambda _, context: context.body())
    await deliver(journal, folder, clock, "erp")
    async with running(opened("erp", handler, timeout=HOUR), mail=mail) as bench:
        await until(lambda: handler.under_way == 1)
        await bench.pass_time(2 * HOUR)
        await until(lambda: len(bench.notes.named("delivery")) == 1)
        await bench.go_round()
        [row] = await bench.rows()
        assert (row.state, row.attempt, row.granted) == ("ready", 1, 1)
