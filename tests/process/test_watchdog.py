"""The watchdog is fed while work gets done, and not by a daemon that hangs."""

from __future__ import annotations

import asyncio
import io
import threading

import pytest

from postroom.app import App
from postroom.clock import SystemClock
from postroom.observe.health import Health
from postroom.observe.log import configure as configure_log
from postroom.observe.metrics import Metrics
from postroom.observe.notify import Notifier
from postroom.observe.report import Report
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from support.daemon import MAILBOX, load_config
from support.pipeline import until
from support.systemd import Systemd

DAY = 86_400.0


class Held:
    """An answer that waits for the test."""

    def __init__(self):
        self.go = asyncio.Event()

    async def apply(self, request, handler):
        await self.go.wait()
        return await handler(request)


class Shifted(SystemClock):
    """A clock that a test can set forward."""

    ahead = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead


@pytest.fixture
async def app(configure, tmp_path):
    """A running App with systemd listening, its log, and its clock."""
    path = configure(f"mailboxes: [{{address: {MAILBOX}, poll: 1s, rules: [{{handle: log}}]}}]\n")
    path.write_text(path.read_text().replace("drain: 5s", "drain: 50ms"))
    config = load_config(path)
    clock = Shifted()
    health = Health(clock)
    report = Report(configure_log("info", "json", io.StringIO()), Metrics(health, clock), health, clock)
    async with Systemd(tmp_path) as systemd:
        notifier = Notifier({"NOTIFY_SOCKET": str(systemd.address), "WATCHDOG_USEC": "200000"})
        async with App(config, report=report, clock=clock, notifier=notifier) as running:
            yield running, clock, systemd
        notifier.close()


def go_on(app, clock, seconds):
    """Let time pass, and have everybody look for work."""
    clock.ahead += seconds
    app.rounds.tick()
    app.dispatcher.wake.set()
    app.actor.wake.set()


async def fed(app, systemd):
    """Whether the watchdog is fed now; a status told behind it says that it would have been heard."""
    before, asked = systemd.count("WATCHDOG"), {"STATUS": f"asked {len(systemd.told)}"}
    await app.chores.feed_watchdog()
    app._notifier.status(asked["STATUS"])
    await until(lambda: asked in systemd.told)
    return systemd.count("WATCHDOG") > before


async def test_it_is_fed_by_itself_while_all_is_well(app):
    _, _, systemd = app
    await systemd.hear("WATCHDOG", 3)


async def test_it_is_not_fed_when_rounds_hang_and_again_when_they_end(app, tenant):
    running, clock, systemd = app
    held = Held()
    tenant.faults.add(Fault(held, path="*/delta*"))
    await until(lambda: tenant.faults.injected)
    clock.ahead += DAY
    await until(lambda: running.report.health.stuck(clock.monotonic()) == ["rounds"])
    assert not await fed(running, systemd)
    assert running.report.health.status() == "failing"
    held.go.set()
    await until(lambda: running.report.health.is_progressing(clock.monotonic()))
    assert await fed(running, systemd)


async def test_it_is_not_fed_when_the_room_of_deliveries_hangs(app):
    running, clock, systemd = app
    hanging = asyncio.Event()

    async def hang(*_, **__):
        hanging.set()
        await asyncio.Event().wait()

    running.journal.turn = hang
    async with asyncio.timeout(20):
        await hanging.wait()
    clock.ahead += DAY
    await until(lambda: running.report.health.stuck(clock.monotonic()) == ["deliveries"])
    assert not await fed(running, systemd)
    del running.journal.turn


async def test_it_is_not_fed_when_the_room_of_deliveries_is_dead(app):
    running, clock, systemd = app
    deliveries = running._rooms._tasks["deliveries"]
    deliveries.cancel()
    await asyncio.wait({deliveries})
    go_on(running, clock, DAY)
    await until(lambda: running.report.health.stuck(clock.monotonic()) == ["deliveries"])
    assert not await fed(running, systemd)


async def test_it_is_not_fed_when_the_journals_thread_is_stuck_and_again_when_it_goes_on(app):
    running, clock, systemd = app
    stuck, entered = threading.Event(), threading.Event()
    running.journal.database._threads.submit(lambda: (entered.set(), stuck.wait(60)))
    try:
        await until(entered.is_set)

        def is_stuck():
            go_on(running, clock, DAY)  # again: who had just come round when the thread got stuck goes on that far
            return {"deliveries", "actions"} <= set(running.report.health.stuck(clock.monotonic()))

        await until(is_stuck)
        assert not await fed(running, systemd)
    finally:
        stuck.set()
    await until(lambda: running.report.health.is_progressing(clock.monotonic()))
    assert await fed(running, systemd)


async def test_it_is_fed_in_a_night_without_mail_and_while_graph_wants_to_be_left_alone_for_an_hour(app, tenant):
    running, clock, systemd = app
    tenant.faults.add(Fault(GraphAnswer(503, "ServiceUnavailable", retry_after=3600), path="*/delta*", count=None))
    go_on(running, clock, 5.0)
    await until(lambda: tenant.faults.injected and not running.rounds._running)
    for _ in range(24):
        go_on(running, clock, 1000.0)
        await until(lambda: running.report.health.is_progressing(clock.monotonic()))
        assert await fed(running, systemd)
    assert len(tenant.faults.injected) < 24


async def test_it_is_fed_while_a_mailbox_is_parked(app, tenant):
    running, clock, systemd = app
    tenant.faults.add(Fault(GraphAnswer(404, "MailboxNotEnabledForRESTAPI"), path="/v1.0/*", count=None))
    async with asyncio.timeout(20):
        while MAILBOX not in running.rounds.parking:
            go_on(running, clock, 5.0)
            await asyncio.sleep(0.01)
    for _ in range(8):
        go_on(running, clock, 1000.0)
        await until(lambda: running.report.health.is_progressing(clock.monotonic()))
        assert await fed(running, systemd)
