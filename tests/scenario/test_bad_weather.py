"""Hours of bad weather: whatever does not work, in the end every mail is handled once and the log can be read."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from postroom.simulator.effects import Delayed, EntraAnswer, GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from support.account import nothing_is_unaccounted
from support.daemon import MAILBOX, load_config, mail, run_daemon, write_config
from support.hours import Hours, pass_time

pytestmark = pytest.mark.slow

HOUR = 3600.0

READ = '''
from pathlib import Path

from postroom.plugin import Context, Handler, Message, Options


class ReadOptions(Options):
    """Where it notes what it has read."""

    ledger: Path


class Read(Handler[ReadOptions]):
    """Read the text, then note the subject."""

    async def handle(self, message: Message, context: Context):
        await context.body()
        with self.options.ledger.open("a") as ledger:
            ledger.write(f"{message.subject}\\n")
'''

CONFIG = f"""
handlers:
  read: {{use: "./read.py:Read", with: {{ledger: LEDGER}}, retry: {{attempts: 5, first: 5s, longest: 5m}}}}
mailboxes:
  - address: {MAILBOX}
    poll: 30s
    start: all
    rules: [{{name: all, handle: [read], then: {{mark_read: true}}}}]
"""

ALL = "/v1.0/*"
TEXTS = f"/v1.0/users/{MAILBOX}/messages/*"


class Scene:
    """A daemon, its tenant, and the time that passes for both."""

    def __init__(self, daemon, tenant, clock, ledger):
        self.daemon, self.tenant, self.clock, self.ledger = daemon, tenant, clock, ledger
        self.sent = 0
        self.standstills = []

    def arrive(self, count):
        """Have mail come."""
        for _ in range(count):
            self.sent += 1
            self.tenant.state.deliver_mime(MAILBOX, mail(f"mail {self.sent}"))

    async def go_on(self, seconds):
        """Let time pass, mail coming now and then."""

        def each():
            if not self.daemon.app.report.health.is_progressing(self.clock.monotonic()):
                self.standstills.append(self.clock.now())

        while seconds > 0:
            await pass_time(self.daemon, self.clock, min(seconds, 600.0), each=each)
            seconds -= 600.0
            self.arrive(1)

    async def settled(self, within):
        """Let time pass until each mail is handled, but no longer than that."""
        for _ in range(round(within / 60)):
            await pass_time(self.daemon, self.clock, 60.0)
            counts = await self.daemon.counts()
            if counts["deliveries.done"] == counts["actions.done"] == self.sent:
                return
        pytest.fail(f"not handled within {within} s: {await self.daemon.counts()}, sent {self.sent}\n{self.log()}")

    def log(self):
        """Return the lines an operator reads."""
        lines = map(json.loads, self.daemon.log.getvalue().splitlines())
        return [line for line in lines if line["level"] != "debug"]

    def said(self, event):
        """Count the lines about an event, by what they are about."""
        return Counter(line["subject"] for line in self.log() if line["event"] == event)

    async def nothing_is_lost(self):
        """Each mail of the mailbox is in the journal, none is dead, each was read once; audit and gauge say so too."""
        counts = await self.daemon.counts()
        assert counts["messages"] == counts["deliveries.done"] == self.sent
        assert counts["deliveries.dead"] == counts["actions.dead"] == 0
        assert sorted(self.ledger.read_text().split("\n")[:-1]) == sorted(f"mail {n + 1}" for n in range(self.sent))
        assert all(each.is_read for each in self.tenant.state.mailbox(MAILBOX).messages.values())
        assert not self.standstills, "the watchdog is fed in bad weather"
        [audit] = await nothing_is_unaccounted(self.daemon, lambda: pass_time(self.daemon, self.clock, 60))
        assert (audit.seen, audit.states) == (self.sent, {"done": self.sent})
        assert not self.daemon.app.report.health.troubles


@pytest.fixture
async def scene(tmp_path):
    """A daemon that has handled three mails, and has one more of which the text cannot be read."""
    clock = Hours()
    (tmp_path / "read.py").write_text(READ)
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[MAILBOX], clock=clock.now) as tenant:
        path = write_config(tmp_path / "postroom.yaml", tenant, CONFIG.replace("LEDGER", str(tmp_path / "ledger")))
        async with run_daemon(load_config(path), clock) as daemon:
            scene = Scene(daemon, tenant, clock, tmp_path / "ledger")
            scene.arrive(3)
            await scene.settled(300)
            tenant.faults.add(Fault(GraphAnswer(503, "ServiceUnavailable"), path=TEXTS, count=None))
            scene.arrive(1)
            await pass_time(daemon, clock, 40)
            assert tenant.faults.injected
            tenant.faults.clear()
            yield scene


def break_down(scene, effect, path=ALL):
    scene.tenant.faults.add(Fault(effect, path=path, count=None))


async def test_429_storm_without_retry_after(scene):
    break_down(scene, GraphAnswer(429, "ApplicationThrottled"))
    await scene.go_on(HOUR)
    storm = len(scene.tenant.faults.injected)
    scene.tenant.faults.clear()
    await scene.settled(HOUR)
    await pass_time(scene.daemon, scene.clock, 20)
    await scene.nothing_is_lost()
    assert storm < 40, "a storm that is fed goes on"
    assert len(scene.log()) < 120
    assert scene.said("recovered")[f"mailbox {MAILBOX}/Inbox"] == 1


async def test_one_hour_of_503(scene):
    break_down(scene, GraphAnswer(503, "ServiceUnavailable"))
    await scene.go_on(HOUR)
    assert f"freshness {MAILBOX}/Inbox" in scene.daemon.app.report.health.troubles
    scene.tenant.faults.clear()
    await scene.settled(900)
    await pass_time(scene.daemon, scene.clock, 20)
    await scene.nothing_is_lost()
    assert len(scene.log()) < 120
    recovered = scene.said("recovered")
    assert recovered[f"mailbox {MAILBOX}/Inbox"] == recovered[f"freshness {MAILBOX}/Inbox"] == 1


async def test_token_endpoint_down_for_longer_than_the_tokens_life(scene):
    break_down(scene, EntraAnswer(90033), path="*/token")
    await scene.go_on(2.5 * HOUR)
    assert scene.tenant.faults.injected
    assert "token default" in scene.daemon.app.report.health.troubles
    scene.tenant.faults.clear()
    await scene.settled(48 * HOUR)  # MSAL itself waits some seconds of true time before it asks again
    await pass_time(scene.daemon, scene.clock, 20)
    await scene.daemon.app.chores.refresh_tokens()
    await scene.nothing_is_lost()
    assert len(scene.log()) < 200


@pytest.mark.parametrize(
    ("status", "code", "hours"),
    [(404, "MailboxNotEnabledForRESTAPI", 26), (403, "ErrorAccessDenied", 5), (503, "ErrorMailboxMoveInProgress", 3)],
)
async def test_mailbox_parked_and_returned(scene, status, code, hours):
    break_down(scene, GraphAnswer(status, code))
    await scene.go_on(600)
    health = scene.daemon.app.report.health
    assert set(health.troubles) == {f"mailbox {MAILBOX}"}
    assert health.snapshot()["mailboxes"][0]["parked"]
    asked = len(scene.tenant.faults.injected)
    await pass_time(scene.daemon, scene.clock, hours * HOUR, step=120)
    assert len(scene.tenant.faults.injected) - asked < 30 * hours + 30
    scene.tenant.faults.clear()
    await scene.settled(2 * HOUR)
    await pass_time(scene.daemon, scene.clock, 60)
    await scene.nothing_is_lost()
    assert not health.snapshot()["mailboxes"][0]["parked"]
    assert scene.said("recovered")[f"mailbox {MAILBOX}"] == 1
    assert len(scene.log()) < 60 + 10 * hours


async def test_one_mailbox_that_answers_in_30_s_and_one_that_always_fails_delay_no_other(tmp_path):
    """A hundred mailboxes; an objective of ten seconds is five intervals, as it is by default."""
    slow, broken, *well = addresses = [f"box{number}@contoso.example" for number in range(100)]
    watched = "\n".join(
        f"  - {{address: {each}, poll: 2s, freshness: 10s, rules: [{{handle: [log]}}]}}" for each in addresses
    )
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=addresses) as tenant:
        tenant.faults.add(Fault(Delayed(30), path=f"*/users/{slow}/*", count=None))
        tenant.faults.add(Fault(GraphAnswer(500, "ErrorInternalServerError"), path=f"*/users/{broken}/*", count=None))
        path = write_config(tmp_path / "postroom.yaml", tenant, f"mailboxes:\n{watched}\n")
        async with run_daemon(load_config(path)) as daemon:
            health, late = daemon.app.report.health, set()
            end = asyncio.get_running_loop().time() + 13
            while asyncio.get_running_loop().time() < end:
                await daemon.bell.wait()
                daemon.bell.clear()
                late |= {mailbox for mailbox, _ in health.stale(daemon.app._clock.monotonic())}
            for each in well:
                tenant.state.deliver_mime(each, mail("late mail"))
            await daemon.until_counts(deliveries_done=98)
            assert late == {slow, broken}
            assert {f"freshness {slow}/Inbox", f"freshness {broken}/Inbox"} <= set(health.troubles)
