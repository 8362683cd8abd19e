"""Claim what is due, have it run, settle it: one transaction a turn does both ends.

What a page brings while there is room is claimed with the page, and only handed over here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from postroom.errors import JournalError
from postroom.model import Delivery, DeliveryState, Settlement, Verdict
from postroom.pipeline.attempts import Attempts
from postroom.pipeline.breakers import Breakers
from postroom.pipeline.desk import Desk, halved, share
from postroom.pipeline.handle import crashed
from postroom.pipeline.settle import LONGEST_NOTE, conclude
from postroom.pipeline.shares import Held, Offer, Shares
from postroom.pipeline.stuck import StuckWatch
from postroom.pipeline.unstored import OUTCOMES, Unstored
from postroom.pipeline.wake import Wake
from postroom.plugin import Log
from postroom.ports import ROUTING, ActionRequest, Clock, Journal, PageResult, Report, Siblings

SUBJECT = "journal"

PROGRESS = "deliveries"
"""What the watchdog knows this room as; each turn feeds it, for a quiet night is no standstill."""

COMPANY = 0.02
"""Seconds an outcome waits for others to be stored with, when there is nothing to claim that it would keep waiting."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Room that is kept for the deliveries of a page, on the desk that will run them."""

    desk: Desk
    mailbox: str
    room: Mapping[str, int]


class Dispatcher:
    """Runs deliveries within the desk's limits until it is stopped.

    Args:
        desk: Replaced through the attribute of this name when the configuration is reloaded.
        bind_log: Makes the bound logger for a delivery.
        acted: Called when mail actions were recorded.

    Attributes:
        unstored: What the journal does not take; nothing is claimed meanwhile.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        bind_log: Callable[[Delivery], Log],
        acted: Callable[[], None],
        random: Random | None = None,
    ) -> None:
        self.desk = desk
        self.unstored = Unstored()
        self.wake = Wake(clock, journal.next_due)
        self._journal = journal
        self._clock = clock
        self._report = report
        self._acted = acted
        self._breakers = Breakers(desk, journal=journal, clock=clock, report=report)
        self._attempts = Attempts(
            journal=journal,
            clock=clock,
            report=report,
            breakers=self._breakers,
            bind_log=bind_log,
            ended=self.wake.set,
            random=random,
        )
        self._shares = Shares(self._held)
        self._kept: set[Places] = set()
        self._offered: Mapping[str, int] = {}
        self._turns = 0
        self._fruitless = 0
        self._more = False
        self._claiming = True
        self._concluded = False
        self._stuck = StuckWatch(report)
        self._lost_rules: set[tuple[str, str]] = set()
        self._said_lost: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Turn after turn, until `stop` has been called and everything is settled.

        An outcome stays in hand until the journal has it, also when this ends with an error and is called again.
        """
        attempts = self._attempts
        await self._breakers.restore()
        while self._claiming or attempts:
            asked = self._clock.now()
            offer = self._shares.offer(self.desk, self._free(), self.desk.left(attempts.busy), self._turns)
            if attempts.finished or offer.room:
                # While nothing waits, pages that come meanwhile find the other half.
                await self._turn(offer._replace(room=halved(offer.room)) if self._fruitless else offer, asked)
            self._report.progress(PROGRESS)
            # One pass of the loop lets handlers that need no waiting finish, so that the next turn settles them all.
            await asyncio.sleep(0)
            if not attempts.finished:
                await self.wake.wait(asked)
            attempts.give_up_overdue()
            attempts.see_to_solitude()
            self._stuck.look(self.desk)
            if attempts.finished and not self._more:
                await asyncio.sleep(COMPANY)

    async def stop(self, limit: float) -> None:
        """Claim nothing more, let what runs finish within `limit` seconds, then cut it off."""
        self._claiming = False
        self.wake.set()
        await self._attempts.stop(limit)
        self.wake.set()

    def reserve(self, mailbox: str, wanted: Mapping[str, int]) -> Places:
        """Keep places for a mailbox's page that is about to bring so many deliveries for each handler.

        They are at most half of those that are left, so that who waits for one is not kept out by those who come.
        `take` gives them back.
        """
        desk, busy = self.desk, self._attempts.busy
        free = {name: count for name, count in self._free().items() if name in wanted}
        fitting = {
            name: min(count, wanted[name]) for name, count in self._shares.of_mailbox(desk, mailbox, free).items()
        }
        left, offered = desk.left(busy), sum(self._offered.values())
        room = share(fitting, min(left, (left + offered) // 2), self._turns)
        busy.update(room)
        desk.begin()  # a reload in the meantime must not put away what is about to be used
        places = Places(desk, mailbox, room)
        self._kept.add(places)
        return places

    def take(self, places: Places, page: PageResult) -> None:
        """Run what was claimed with a page, and hear what else it brought."""
        self._kept.remove(places)
        self._attempts.busy.subtract(places.room)
        self._start(places.desk, page.claimed, self._clock.now())
        places.desk.end()
        if page.deliveries > len(page.claimed) or not self._claiming:
            self.wake.set()
        if page.actions:
            self._acted()

    @property
    def in_hand(self) -> list[Delivery]:
        """The deliveries whose outcomes the journal does not have."""
        return [item.delivery for item in self._attempts.finished]

    def whose(self, task: asyncio.Task[Any]) -> Mapping[str, object]:
        """Return the labels of the delivery that a task runs; none if it runs none."""
        return self._attempts.whose(task)

    async def _turn(self, offer: Offer, now: datetime) -> None:
        settled = list(self._attempts.finished)
        desk = self.desk
        desk.begin()  # a reload in the meantime must not put away what is about to be used
        try:
            claimed = await self._settle_and_claim(settled, offer, now)
            self._start(desk, claimed, now)
            if await self._breakers.store():
                self.wake.set()
        except JournalError as error:
            self._report.problem(OUTCOMES if OUTCOMES in self.unstored else SUBJECT, error)
            await self._clock.sleep(1.0)
            return
        finally:
            desk.end()
        if settled or claimed:
            # A turn that only read says nothing of a full disk.
            self._report.recovered(SUBJECT)
        if settled:
            self._report.recovered(OUTCOMES)
        if self._concluded or any(item.verdict.actions for item in settled):
            self._concluded = False
            self._acted()
        self._turns += 1
        self._fruitless = 0 if claimed else self._fruitless + 1
        # More may be due: what comes after a claim, and what is of handlers that had to stand back in this turn.
        self._more = bool(claimed) or (offer.squeezed and bool(offer.room) and self._fruitless < len(desk.handlers))
        if self._more:
            self.wake.set()

    async def _settle_and_claim(self, settled: Sequence[Settlement], offer: Offer, now: datetime) -> list[Delivery]:
        quiet, probed = self._quiet(settled), self._breakers.held
        try:
            storing = self.unstored.storing(OUTCOMES) if settled else nullcontext()
            with self._offering(offer.room), storing:
                claimed = await self._journal.turn(
                    settled, offer.room, now, self._conclude, quiet, limits=offer.limits, probed=probed
                )
        except JournalError:
            raise
        except Exception:
            if not settled:
                raise
            # One of them cannot be stored, and must not keep the others from it.
            await self._settle_singly(settled, now)
            return []
        # Not before: an outcome must not be lost to a full disk.
        del self._attempts.finished[: len(settled)]
        self._say_lost_rules(settled)
        return claimed

    @contextmanager
    def _offering(self, room: Mapping[str, int]) -> Iterator[None]:
        """Keep the places that a claim may take, lest a page take them too."""
        busy, self._offered = self._attempts.busy, room
        busy.update(room)
        try:
            yield
        finally:
            busy.subtract(room)
            self._offered = {}

    async def _settle_singly(self, settled: Sequence[Settlement], now: datetime) -> None:
        """Store outcomes one by one; those that cannot be stored stay in hand, and the last error is raised."""
        trouble: Exception | None = None
        for item in settled:
            try:
                await self._settle_or_bury(item, now)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are stored
                trouble = error
            else:
                self._attempts.finished = [each for each in self._attempts.finished if each is not item]
        if trouble is not None:
            self._report.problem(OUTCOMES, trouble)
            raise trouble

    async def _settle_or_bury(self, item: Settlement, now: datetime) -> None:
        """Store one outcome, or a dead letter in its place when the journal cannot hold it."""
        try:
            await self._journal.turn([item], {}, now, self._conclude, self._quiet([item]))
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the delivery must come to an end
            text = f"Its outcome cannot be stored. {crashed(error).reason}"[:LONGEST_NOTE]
            dead = item._replace(verdict=Verdict(DeliveryState.DEAD, error=text))
            await self._journal.turn([dead], {}, now, self._conclude, self._quiet([dead]))

    def _held(self) -> Held:
        """Count who holds places: what runs, and pages that are being stored."""
        held = self._attempts.held()
        for places in self._kept:
            for name, count in places.room.items():
                held[name][places.mailbox] += count
        return held

    def _free(self) -> dict[str, int]:
        """Return the handlers that may take more deliveries, each with how many."""
        if not self._claiming or self._attempts.alone is not None or self.unstored.besides(OUTCOMES):
            return {}
        return self._breakers.narrow(self.desk, self.desk.free(self._attempts.busy))

    def _start(self, desk: Desk, claimed: Sequence[Delivery], now: datetime) -> None:
        """Start what was claimed; give back what a stop came before, or what is held since."""
        if self._claiming and not self._breakers:
            self._attempts.start(desk, claimed, now)
            return
        wanted = [each for each in claimed if self._claiming and self._breakers.admits(each)]
        self._attempts.start(desk, wanted, now)
        started = {each.id for each in wanted}
        self._attempts.give_back([each for each in claimed if each.id not in started], now)

    def _quiet(self, settled: Sequence[Settlement]) -> set[str]:
        """Return those mailboxes of what finished where no rule asks for anything afterwards."""
        rules = self.desk.rules
        return {
            mailbox
            for mailbox in {item.delivery.message.mailbox for item in settled}
            if not any(rule.then or rule.on_failure for rule in rules.get(mailbox, {}).values())
        }

    def _say_lost_rules(self, settled: Sequence[Settlement]) -> None:
        """Say once of each rule that was renamed or removed while its mails waited: it asks for nothing any more."""
        configured = (item.delivery for item in settled if item.delivery.handler != ROUTING)
        for mailbox, rule in {(each.message.mailbox, each.rule) for each in configured}:
            if rule not in self.desk.rules.get(mailbox, {}):
                self._lost_rules.add((mailbox, rule))
        for mailbox, rule in self._lost_rules - self._said_lost:
            self._report.event("rule_lost", mailbox=mailbox, rule=rule)
        self._said_lost |= self._lost_rules
        self._lost_rules.clear()

    def _conclude(self, siblings: Siblings) -> list[ActionRequest]:
        rules = self.desk.rules.get(siblings.mailbox, {})
        lost = [name for name in siblings.rules.keys() - rules.keys() if ROUTING not in siblings.rules[name]]
        self._lost_rules |= {(siblings.mailbox, name) for name in lost}
        requests = conclude(siblings, rules)
        self._concluded = self._concluded or bool(requests)
        return requests
