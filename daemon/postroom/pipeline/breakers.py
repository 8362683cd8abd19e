"""The breakers of all handlers: they listen to outcomes, keep deliveries back, and tell journal and operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from postroom.errors import HandlerError
from postroom.model import Delivery, Done, Outcome, Reject, Retry, Skip
from postroom.pipeline import breaker as machine
from postroom.pipeline.breaker import Breaker
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.weather import failure, is_defect
from postroom.ports import Clock, HeldHandler, Journal, Report


class Breakers:
    """Which handlers are held, and why. While all is well a delivery costs it one look into an empty dict."""

    def __init__(self, desk: Desk, *, journal: Journal, clock: Clock, report: Report) -> None:
        self._desk = desk
        self._journal = journal
        self._clock = clock
        self._report = report
        self._breakers: dict[str, Breaker] = {}
        self._stored: dict[str, HeldHandler] = {}
        self._forgiven: dict[str, Mapping[int, int]] = {}

    def __bool__(self) -> bool:
        """Say whether there is anything to remember; while all is well nobody need be asked."""
        return bool(self._breakers)

    async def restore(self) -> None:
        """Take over from the journal what was held when the daemon ended. May raise JournalError."""
        for held in await self._journal.held():
            self._stored[held.handler] = held
            handler = self._desk.handlers.get(held.handler)
            if held.handler not in self._breakers and handler is not None and handler.breaker is not None:
                at = self._clock.monotonic()
                self._keep(held.handler, machine.restored(handler.breaker, held.since, held.reason, at))
                self._say_open(held.handler)

    def narrow(self, desk: Desk, free: dict[str, int]) -> dict[str, int]:
        """Return the places that may be taken: of a handler that is held none, or one when it is to be probed."""
        if desk is not self._desk:
            self._reload(desk)
        if not self._breakers:
            return free
        at = self._clock.monotonic()
        held = {name: each.may_probe(at) for name, each in self._breakers.items() if each.hold is not None}
        return {name: 1 if name in held else count for name, count in free.items() if held.get(name, True)}

    @property
    def held(self) -> Collection[str]:
        """The handlers that are held, so that what is claimed for them is to try them out."""
        return [name for name, each in self._breakers.items() if each.hold is not None] if self._breakers else ()

    def admits(self, delivery: Delivery) -> bool:
        """Say whether a claimed delivery may run, and remember it as the probe if it is one."""
        breaker = self._breakers.get(delivery.handler)
        if breaker is None or breaker.hold is None:
            return True
        if not breaker.may_probe(self._clock.monotonic()):
            return False
        self._breakers[delivery.handler] = machine.probing(breaker, delivery.id)
        return True

    def hear(self, handler: OpenHandler, delivery: Delivery, outcome: Outcome | None, started_at: datetime) -> bool:
        """Learn from an outcome, None for an attempt cut off; says whether its attempt does not count against it."""
        failed = outcome if isinstance(outcome, Retry) and not outcome.waiting else None
        breaker = self._breakers.get(handler.name)
        if breaker is None:
            if failed is None or handler.breaker is None:
                return False
            breaker = Breaker(handler.breaker)
        at = self._clock.monotonic()
        if failed is not None:
            after = machine.failed(breaker, failure(failed, delivery, started_at), at, len(self._desk.mails))
        elif isinstance(outcome, Done):
            after = machine.done(breaker, delivery.id)
        else:
            after = machine.unsettled(breaker, delivery.id, at, at_once=outcome is not None)
            after = machine.ended(after, delivery.id) if isinstance(outcome, Skip | Reject) else after
        self._change(handler.name, breaker, after, delivery.id)
        if failed is None or not after.forgives(delivery.id) or handler.retry.attempts == 1:
            return False
        was_probe = breaker.hold is not None and breaker.hold.probe == delivery.id
        return not (was_probe and is_defect(failed.reason))

    async def store(self) -> bool:
        """Tell the journal what has changed, after the outcomes that changed it; True when deliveries became due.

        May raise JournalError; it is told the next time then.
        """
        if not (self._breakers or self._stored):
            return False
        held = {name: each.hold for name, each in self._breakers.items() if each.hold is not None}
        if held.keys() == self._stored.keys():
            return False
        new = [HeldHandler(name, hold.since, hold.reason) for name, hold in held.items() if name not in self._stored]
        for each in new:
            await self._journal.hold(each, self._forgiven.get(each.handler, {}), self._clock.now())
            self._stored[each.handler] = each
            self._forgiven.pop(each.handler, None)
        over = [each for name, each in self._stored.items() if name not in held]
        for each in over:
            await self._journal.release(each.handler, each.since, self._clock.now())
            del self._stored[each.handler]
        return bool(over)

    def _change(self, name: str, before: Breaker, after: Breaker, delivery: int) -> None:
        self._keep(name, after)
        if before.hold is None and after.hold is not None:
            self._forgiven[name] = machine.to_give_back(after, delivery)
            self._say_open(name)
        elif before.hold is not None and after.hold is None:
            self._say_closed(name)
        elif before.hold is not None and after.hold is not None and after.hold.wait > before.hold.wait:
            self._say_open(name)

    def _keep(self, name: str, breaker: Breaker) -> None:
        if breaker.is_calm:
            self._breakers.pop(name, None)
        else:
            self._breakers[name] = breaker

    def _reload(self, desk: Desk) -> None:
        """Start afresh with another configuration: what is held is probed at once, for it may be mended now."""
        self._desk, before, at = desk, self._breakers, self._clock.monotonic()
        self._breakers = {}
        for name, each in before.items():
            handler = desk.handlers.get(name)
            if each.hold is None:
                continue
            if handler is None or handler.breaker is None:
                self._say_closed(name)
            else:
                self._keep(name, machine.restored(handler.breaker, each.hold.since, each.hold.reason, at))

    def _say_open(self, name: str) -> None:
        breaker = self._breakers[name]
        assert breaker.hold is not None, "said of what is open"
        self._report.event("breaker", handler=name, state="open", wait=breaker.hold.wait)
        self._report.problem(
            f"handler {name}",
            HandlerError(
                f"Different mails fail alike at the handler {name}, so its deliveries are held: {breaker.hold.reason}",
                remedy="Mend what it needs. One mail is tried now and then, and the others follow when one is done: "
                f"the next in {breaker.hold.wait:g} s at most, at once after a reload or a restart.",
                handler=name,
            ),
        )

    def _say_closed(self, name: str) -> None:
        self._report.event("breaker", handler=name, state="closed")
        self._report.recovered(f"handler {name}")
