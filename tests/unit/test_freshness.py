"""Freshness objectives: missed in no silence, and met again in one line."""

from __future__ import annotations

import io

import pytest

from postroom.errors import Unavailable
from postroom.freshness import FreshnessWatch
from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.report import Report
from postroom.testing import ManualClock

SUBJECT = "freshness a@b/Inbox"


class Bench:
    """A watch over one folder, whose round is late for a reason that a test can name."""

    def __init__(self):
        self.clock, self.log, self.why = ManualClock(), io.StringIO(), ""
        self.health = Health(self.clock)
        metrics = Metrics(self.health, self.clock)
        self.report = Report(configure("info", "json", self.log), metrics, self.health, self.clock)
        self.health.watch({("a@b", "Inbox"): 150.0})
        self.watch = FreshnessWatch(
            clock=self.clock, report=self.report, delay=lambda *_: self.why, seconds=self.clock.monotonic
        )

    async def after(self, seconds):
        await self.clock.advance(seconds)
        await self.watch.look()  # it may come late, and then says nothing
        await self.watch.look()
        return self.health.troubles.get(SUBJECT)


@pytest.fixture
def bench():
    return Bench()


async def test_a_folder_that_keeps_its_objective_is_no_problem(bench):
    assert await bench.after(149) is None


async def test_a_missed_objective_is_a_problem_that_says_by_how_much_and_why(bench):
    bench.why = "its round has been under way for 6 min"
    trouble = await bench.after(420)
    assert trouble.what == (
        "Mailbox a@b: no whole round of Inbox for 7 min, the objective is 2.5 min: "
        "its round has been under way for 6 min."
    )
    assert "raise `freshness`" in trouble.remedy


async def test_it_gives_the_reason_that_the_folder_has_a_problem_for(bench):
    bench.report.problem("mailbox a@b/Inbox", Unavailable("Graph answered 503.", remedy="Wait."))
    trouble = await bench.after(200)
    assert (trouble.what.endswith("2.5 min: Graph answered 503."), trouble.remedy) == (True, "Wait.")


async def test_it_is_said_once_and_its_end_once(bench):
    for _ in range(100):
        await bench.after(5)
    bench.report.event("round", mailbox="a@b", folder="Inbox", fresh=0)
    assert await bench.after(1) is None
    await bench.after(1)
    log = bench.log.getvalue()
    assert (log.count('"problem"'), log.count('"recovered"')) == (1, 1)


async def test_of_a_tenant_that_nobody_signs_in_to_nothing_more_is_said(bench):
    bench.health.watch({("a@b", "Inbox"): 150.0}, {"a@b": "default"})
    bench.report.problem("token default", "The secret has expired.")
    assert await bench.after(1000) is None


async def test_of_a_parked_mailbox_nothing_more_is_said(bench):
    bench.report.problem("mailbox a@b", "It is parked.")
    assert await bench.after(1000) is None


async def test_a_look_that_comes_late_says_nothing_for_the_daemon_itself_stood_still(bench):
    await bench.clock.advance(420)
    await bench.watch.look()
    assert SUBJECT not in bench.health.troubles
    await bench.watch.look()
    assert SUBJECT in bench.health.troubles
