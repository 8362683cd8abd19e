"""A lane: one tenant, one journal, one ledger, and life after life of one daemon."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from crash.feed import Feed
from crash.forks import Forks
from crash.handlers import LIFE, OUTAGE
from crash.plan import POWER, Life
from crash.power import cut
from crash.truth import Findings, compare, count_missed, count_open, count_running, read_journal, read_ledger
from support.systemd import Systemd

LIMIT = 25.0
"""Seconds in which a life must come to its end."""

PATIENT = 90.0
"""The same where retention has to go through all mail first."""

STALL = 40.0
"""Seconds without any change after which what is not handled counts as lost."""

STEP, STEPS = 0.05, 6
"""Seconds between two helpings of mail, and helpings in a life."""

SIGNALS = {"kill": signal.SIGKILL, "power": signal.SIGKILL, "stop": signal.SIGTERM, "hangup": signal.SIGHUP}
KILLED = 137, -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Death:
    """How a life ended: its row, how many deliveries were under way, and whether it ended as it was to."""

    life: int
    row: str
    under_way: int
    as_planned: bool


class Lane:
    """Lives through what it is given; then one life more, in which everything must be handled."""

    def __init__(self, directory: Path, number: int, seed: int) -> None:
        directory.mkdir(parents=True)
        self.number = number
        self.feed = Feed(directory, seed, calm=number % 2 == 0)
        self.deaths: list[Death] = []
        self._directory = directory
        self._chance = Random(seed)
        self._journal = directory / "journal.db"
        self._ledger = directory / "ledger"
        self._outage = directory / OUTAGE
        self._log = directory / "daemon.log"
        self._owed = 0

    async def run(self, next_life: Callable[[], Life | None], mails: int, told: Callable[[Death], None]) -> Findings:
        """Live while there is a next life, with so many mails for each; returns how it stood at the end."""
        async with self.feed.tenant, Forks() as forks, Systemd(self._directory) as systemd:
            config = self.feed.prepare()
            while (life := next_life()) is not None:
                self._owed += mails
                death = await self._live(life, config, forks, systemd)
                self.deaths.append(death)
                told(death)
            await self._last(config, forks)
            cuts = {death.life for death in self.deaths if death.row == POWER}
            found = compare(
                self.feed.sent,
                read_ledger(self._ledger),
                read_journal(self._journal),
                concluded=self.feed.concluded(),
                gone=self.feed.gone,
                cuts=cuts,
            )
            if missed := count_missed(self._log):
                found.faults.append(f"{missed} mails that rounds had missed were found by reconciling")
            return found

    @property
    def life(self) -> int:
        """The number of the life under way."""
        return len(self.deaths)

    async def _live(self, life: Life, config: Path, forks: Forks, systemd: Systemd) -> Death:
        self._helping(self._owed // 3)
        systemd.told.clear()
        if life.stimulus == "vanish":
            config = config.with_name("forgetful.yaml")
        await self._start(forks, config, life.crash_at, NOTIFY_SOCKET=str(systemd.address))
        code = None
        async with self._meanwhile(self._eat(), self._lead(life, forks, systemd)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENT if life.stimulus == "vanish" else LIMIT):
                    code = await forks.ended()
        if code is None:
            forks.tell(signal.SIGKILL)
            await forks.ended()
        self.feed.mend()
        self._outage.unlink(missing_ok=True)
        if life.row == POWER:
            cut(self._journal, self._chance, whole=self._chance.random() < 0.25)
        return Death(self.life, life.row, count_running(self._journal), as_planned=code in KILLED)

    async def _start(self, forks: Forks, config: Path, crash_at: str, **environment: str) -> None:
        await forks.start(config, self._log, crash_at, **{LIFE: str(self.life)}, **environment)

    @contextlib.asynccontextmanager
    async def _meanwhile(self, *work) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    async def _eat(self) -> None:
        """Let the mail of this life come in helpings."""
        share = self._owed // STEPS + 1
        while self._owed:
            await asyncio.sleep(STEP)
            self._helping(share)

    def _helping(self, count: int) -> None:
        count = min(count, self._owed)
        self._owed -= count
        self.feed.deliver(self.life, count)

    async def _lead(self, life: Life, forks: Forks, systemd: Systemd) -> None:
        """Bring the daemon to where its life is to end."""
        if life.stimulus not in {"", "kill", "power", "filed"}:
            await systemd.hear("READY")
        await asyncio.sleep(life.delay)
        match life.stimulus:
            case "kill" | "power" | "stop" | "hangup":
                forks.tell(SIGNALS[life.stimulus])
            case "filed":
                await self._filed()
                forks.tell(signal.SIGKILL)
            case "reset":
                await asyncio.sleep(1.0)
                self.feed.reset()
            case "refuse":
                self.feed.refuse()
            case "park":
                self.feed.park()
            case "outage":
                self._outage.touch()
                self.feed.deliver_for_flaky(self.life)
                await asyncio.sleep(4.0)
                self._outage.unlink()
            case "vanish":
                self.feed.vanish({run.key for run in read_ledger(self._ledger)}, self.life)

    async def _filed(self) -> None:
        """Let mail come that one rule moves while a handler of another is not done with it, and wait for the move."""
        filed = self.feed.deliver_for_late(self.life)
        while True:
            await asyncio.sleep(STEP)
            if filed <= self.feed.concluded().keys():
                return

    async def _last(self, config: Path, forks: Forks) -> None:
        """Let the rest of the mail come, wait until nothing is open, and stop the daemon."""
        self._helping(self._owed)
        await self._start(forks, config, "")
        await self._until_quiet()
        forks.tell(signal.SIGTERM)
        if code := await forks.ended():
            raise RuntimeError(f"the last daemon of lane {self.number} ended with {code}; see {self._log}")

    async def _until_quiet(self) -> None:
        """Wait until each mail is handled, as ledger, tenant and journal have it, or nothing changes any more."""
        wanted = {key for mail in self.feed.sent for key in mail.keys}
        then = {mail.conclusion for mail in self.feed.sent if mail.then}
        loop = asyncio.get_running_loop()
        before, since = (-1, -1, -1), loop.time()
        while loop.time() < since + STALL:
            await asyncio.sleep(0.5)
            done = {run.key for run in read_ledger(self._ledger)}
            left = len(wanted - done), len(then - self.feed.concluded().keys()), count_open(self._journal)
            if left == (0, 0, 0):
                return
            if left != before:
                before, since = left, loop.time()
