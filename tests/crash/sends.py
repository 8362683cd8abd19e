"""Kill a daemon that sends, at every failure point on the way of a mail and at random: each recipient got exactly one.

Every mail that comes is answered, forwarded, or made a new mail of, to recipients inside and outside. The simulated
tenant notes every copy that leaves a mailbox. Some of Graph's answers are lost after it has done what was asked.

Usage: python -m crash.sends [--kills 60] [--mails 10] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aiohttp import web
from aiohttp.typedefs import Handler

from crash.forks import Forks
from crash.plan import POWER, RANDOM
from crash.power import cut
from crash.truth import count_open
from postroom.failpoints import POINTS
from postroom.simulator.effects import Reset
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from support.systemd import Systemd

DESK, TEAM = "desk@contoso.example", "team@contoso.example"
KINDS = frozenset({"reservation", "send", "draft", "sent", "actions_claim", "action", "actions_settlement"})
"""What the failure points on the way of a mail begin with."""
ELSEWHERE = ("action.writing", "action.answered")
"""Points of actions that send nothing."""
LEAST_KILLS = 50
SELDOM = ("actions_claim", "actions_settlement")
"""Points that one daemon passes only a few times: each takes many mails along."""
LIFE, STALL = 15.0, 200.0

CONFIG = """\
version: 1
tenant:
  cloud: {{login: "{tenant.login}", graph: "{tenant.graph}", ca_file: "{tenant.ca_file}"}}
  tenant_id: {tenant.tenant_id}
  client_id: {tenant.client_id}
  credential: {{client_secret: "{tenant.client_secret}"}}
journal: sqlite:///journal.db
limits: {{drain: 5s}}
log: {{format: json}}
sending: {{per_mailbox: 100000/h, patience: 2s}}
mailboxes:
  - address: {desk}
    poll: 1s
    start: all
    rules:
      - {{when: {{subject: "question*"}}, then: {{reply: "About {{subject}}: yes.", mark_read: true}}}}
      - {{when: {{subject: "order*"}}, then: {{forward: [{team}, orders@supplier.example]}}}}
      - when: {{subject: "outage*"}}
        then:
          send: {{to: [{team}, duty@supplier.example], subject: "Seen {{subject}}", text: "Since {{received_at}}"}}
"""


class LostAnswer(Reset):
    """Graph does what it was asked, and nobody hears of it."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve the request, then break the connection."""
        await handler(request)
        return await super().apply(request, handler)


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        kills: By failure point, or how else.
        wanted: Copies that had to be sent, each once: recipient and subject.
        sent: Copies that were.
        lost_answers: Answers of Graph that were lost.
        faults: What is wrong, in words.
    """

    kills: Counter[str] = field(default_factory=Counter)
    wanted: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost_answers: int = 0
    faults: list[str] = field(default_factory=list)

    def verdict(self) -> list[str]:
        """Say what is wrong; nothing when each copy was sent once."""
        twice = [f"{count} times to {who}: {what}" for (who, what), count in (self.sent - self.wanted).items()]
        never = [f"never to {who}: {what}" for who, what in self.wanted - self.sent]
        return [*self.faults, *(f"sent too often, {each}" for each in twice), *never]

    def summary(self) -> str:
        """Say it in a sentence."""
        recipients = len({who for who, _ in self.wanted})
        return (
            f"{self.kills.total()} kills, {self.lost_answers} lost answers, {self.wanted.total()} copies to "
            f"{recipients} recipients: {self.sent.total()} sent, {(self.sent - self.wanted).total()} too many, "
            f"{(self.wanted - self.sent).total()} missing."
        )


class Desk:
    """A tenant whose mails all make others, and the daemon's lives in it."""

    def __init__(self, directory: Path, seed: int, lost_answers: float = 0.03) -> None:
        self.outcome = Outcome()
        self._directory = directory
        self._journal = directory / "journal.db"
        self._chance = Random(seed)
        self._tenant = SimulatedTenant(directory / "tenant", mailboxes=[DESK, TEAM], smtp=None, seed=seed)
        self._lost_answers = lost_answers
        self._number = 0

    async def run(self, lives: Sequence[str], mails: int) -> Outcome:
        """Live each life to its end, with so many mails; then one more, in which everything must be sent."""
        async with self._tenant, Forks() as forks, Systemd(self._directory) as systemd:
            self._prepare()
            self._tenant.state.transport_time = 1.0  # longer than a start takes
            for life in lives:
                await self._live(life, mails, forks, systemd)
            self._tenant.use_profile("calm")
            await self._last(forks)
        return self.outcome

    def _prepare(self) -> None:
        config = self._directory / "postroom.yaml"
        config.write_text(CONFIG.format(tenant=self._tenant, desk=DESK, team=TEAM))
        config.chmod(0o600)
        for path in ("*/create*", "*/send", "*/messages") if self._lost_answers else ():
            chance = self._lost_answers
            fault = Fault(LostAnswer(), path=path, method="POST", count=None, probability=chance, name="lost answer")
            self._tenant.faults.add(fault)

    async def _start(self, forks: Forks, crash_at: str, **environment: str) -> None:
        await forks.start(self._directory / "postroom.yaml", self._directory / "daemon.log", crash_at, **environment)

    async def _live(self, life: str, mails: int, forks: Forks, systemd: Systemd) -> None:
        self._deliver(mails)
        systemd.told.clear()
        by_signal = life in {RANDOM, POWER}
        most = 2 if life.startswith(SELDOM) else mails
        crash_at = "" if by_signal else f"{life}:{self._chance.randint(1, most)}"
        await self._start(forks, crash_at, NOTIFY_SOCKET=str(systemd.address))
        if by_signal:
            await systemd.hear("READY")
            await asyncio.sleep(self._chance.uniform(0.05, 1.0))
            forks.tell(signal.SIGKILL)
        try:
            async with asyncio.timeout(LIFE):
                await forks.ended()
        except TimeoutError:
            forks.tell(signal.SIGKILL)
            await forks.ended()
            life = RANDOM
        if life == POWER:
            cut(self._journal, self._chance, whole=True)
        self.outcome.kills[life] += 1

    async def _last(self, forks: Forks) -> None:
        await self._start(forks, "")
        loop = asyncio.get_running_loop()
        before, since = -1, loop.time()
        while loop.time() < since + STALL:
            await asyncio.sleep(0.5)
            left = count_open(self._journal) + (self.outcome.wanted - self._sent()).total()
            if not left:
                break
            if left != before:
                before, since = left, loop.time()
        forks.tell(signal.SIGTERM)
        await forks.ended()
        self.outcome.sent = self._sent()
        self.outcome.lost_answers = self._tenant.faults.counts["lost answer"]
        self._look_at_what_is_left()

    def _look_at_what_is_left(self) -> None:
        """See that nothing is open, that no draft lies about, and that the mail inside has arrived."""
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as database:
            for row in database.execute("SELECT state, attempt, note, error FROM actions WHERE state <> 'done'"):
                self.outcome.faults.append(f"an action is not done: {row}")
        drafts = self._tenant.state.mailbox(DESK).folder("drafts").messages
        if drafts:
            self.outcome.faults.append(f"{len(drafts)} drafts were left")
        arrived = len(self._tenant.state.mailbox(TEAM).folder("inbox").messages)
        inside = sum(count for (who, _), count in self.outcome.wanted.items() if who == TEAM)
        if arrived != inside:
            self.outcome.faults.append(f"{arrived} mails arrived at {TEAM}, not {inside}")

    def _sent(self) -> Counter[tuple[str, str]]:
        return Counter((each.recipient, each.subject) for each in self._tenant.state.outbox)

    def _deliver(self, count: int) -> None:
        for _ in range(count):
            self._number += 1
            subject = f"{('question', 'order', 'outage')[self._number % 3]} {self._number}"
            sender = f"person{self._number}@supplier.example"
            self._tenant.state.deliver_mime(DESK, _mime(sender, subject, self._number))
            for who, what in _expected(sender, subject):
                self.outcome.wanted[who, what] += 1


def _expected(sender: str, subject: str) -> list[tuple[str, str]]:
    if subject.startswith("question"):
        return [(sender, f"RE: {subject}")]
    if subject.startswith("order"):
        return [(who, f"FW: {subject}") for who in (TEAM, "orders@supplier.example")]
    return [(who, f"Seen {subject}") for who in (TEAM, "duty@supplier.example")]


def _mime(sender: str, subject: str, number: int) -> bytes:
    return (
        f"From: {sender}\r\nTo: {DESK}\r\nSubject: {subject}\r\nReturn-Path: {sender}\r\n"
        f"Message-ID: <{number}@supplier.example>\r\n\r\nGood day.\r\n"
    ).encode()


def points() -> list[str]:
    """Return the failure points on the way of a mail that is sent."""
    return [name for name in POINTS if name.partition(".")[0] in KINDS and name not in ELSEWHERE]


def plan(kills: int, seed: int) -> list[str]:
    """Return how each life ends: at each point in turn, a fifth at random, a tenth by a power cut; shuffled."""
    chance = Random(seed)
    others = [RANDOM] * (kills // 5) + [POWER] * (kills // 10)
    named = points()
    lives = [*others, *(named[number % len(named)] for number in range(kills - len(others)))]
    chance.shuffle(lives)
    return lives


def main() -> int:
    """Run, print, and say by the exit code whether each recipient got exactly one mail."""
    parser = argparse.ArgumentParser(prog="crash.sends", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--mails", type=int, default=10, help="that come in each life")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of a client that was killed
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="postroom-sends-", ignore_cleanup_errors=True) as directory:
        lives = plan(options.kills, options.seed)
        (Path(directory) / "tenant").mkdir()
        outcome = asyncio.run(Desk(Path(directory), options.seed).run(lives, options.mails))
    for name, count in sorted(outcome.kills.items()):
        print(f"{count:4}  {name}{f': {POINTS[name]}' if name in POINTS else ''}")
    print(outcome.summary())
    print(f"Seed {options.seed}, {time.monotonic() - began:.0f} s.", file=sys.stderr)
    wrong = outcome.verdict()
    if outcome.kills.total() < LEAST_KILLS:
        wrong.append(f"{outcome.kills.total()} kills prove nothing; at least {LEAST_KILLS} are wanted")
    for each in wrong[:20]:
        print(f"FAILED: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
