"""Composition root: builds the daemon from a configuration, starts it, reloads it, stops it. Wiring only.

Signals and exit codes live in `cli.serve`, so that a test can run an `App` in its own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType, TracebackType
from typing import Self

from postroom import freshness, whereabouts
from postroom.build import Generation, build, pollers, put_away
from postroom.chores import Chores
from postroom.config import Config
from postroom.errors import JournalError, PostroomError
from postroom.failpoints import reach
from postroom.freshness import FreshnessWatch
from postroom.graph.token import TokenSource
from postroom.journal import SqlJournal, open_journal
from postroom.model import Delivery
from postroom.observe.metrics import Use
from postroom.observe.notify import Notifier
from postroom.observe.report import Report
from postroom.pipeline import act, timepiece, unserved
from postroom.pipeline.act import Actor
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.reconcile import Reconciler
from postroom.pipeline.retention import Retention, interval
from postroom.pipeline.rounds import PROGRESS, Rounds
from postroom.pipeline.timepiece import Timepiece
from postroom.pipeline.unserved import UnservedWatch
from postroom.pipeline.unstored import left_behind
from postroom.plugin import Log
from postroom.ports import Clock
from postroom.reload import check_reloadable, problems_of, read_config, why_refused
from postroom.rooms import LAST_MOMENT, Rooms
from postroom.schedule import Schedule
from postroom.standstill import Standstill

TICK = 0.25
"""Seconds between two looks at which folders are due: a timer for each poll would cost three times the CPU."""

ROUNDS_WITHIN = 900.0
"""Seconds within which rooms must make progress, or the watchdog is not fed; nothing to do is progress too."""

NEW_JOURNAL = "Nothing is known of earlier mail: what is in the folders now is handled as `start` of each mailbox says."


class App:
    """The daemon. ``async with App(...)`` starts and stops it; every step that was done is undone in reverse.

    Args:
        config: What to run; `reload` replaces it.
        report: Where log, metrics and health hear what happens.
        notifier: The line to systemd.
        tokens: Sign-ins to tenants (by their names) that have begun; they end with the App.
    """

    def __init__(
        self,
        config: Config,
        *,
        report: Report,
        clock: Clock,
        notifier: Notifier | None = None,
        tokens: Mapping[str, TokenSource] = MappingProxyType({}),
    ) -> None:
        self.config = config
        self.report = report
        self.journal: SqlJournal
        self.rounds: Rounds
        self.reconciler: Reconciler
        self.dispatcher: Dispatcher
        self.actor: Actor
        self.chores: Chores
        self.freshness: FreshnessWatch
        self.retention: Retention
        self.timepiece: Timepiece
        self.unserved: UnservedWatch
        self.left_behind: JournalError | None = None
        self._clock = clock
        self._notifier = notifier or Notifier({})
        self._tokens = tokens
        self._generation: Generation
        self._schedule = Schedule(
            lambda job, error: report.problem(f"job {job}", error), lambda job: report.recovered(f"job {job}")
        )
        self._rooms = Rooms(clock=clock, report=report)
        self._retiring: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._reloading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            self._schedule.stop()
            await self._rooms.end(0.0)
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        """Journal, sign-in, handlers, folders, rooms, console, schedule; then READY."""
        for token in self._tokens.values():
            self._stack.push_async_callback(token.close)
        self.journal = await open_journal(self.config.journal)
        self._stack.push_async_callback(self.journal.close)
        whereabouts.clear(self.config.journal)
        if self.journal.is_new:
            self.report.event("journal_new", journal=self.journal.database.where, note=NEW_JOURNAL)
        suspects = await self.journal.recover()
        self.chores = Chores(self.journal, clock=self._clock, report=self.report, notifier=self._notifier)
        self._generation = await build(self.config, {}, clock=self._clock, report=self.report, tokens=self._tokens)
        self._stack.push_async_callback(self._put_away_present)
        self.chores.connections = self._generation.connections
        await self.chores.sign_in(self._generation.connections)
        self._open_rooms()
        await self._watch(self._generation)
        await self._open_console()
        self._schedule.every(TICK, "poll", self._tick, at_once=True)
        self.report.metrics.used = self._used
        self.chores.add_to(self._schedule)
        self._schedule.every(timepiece.EVERY, "clock", self.timepiece.look, at_once=True)
        self.freshness = FreshnessWatch(clock=self._clock, report=self.report, delay=self.rounds.delay)
        self._schedule.every(freshness.EVERY, "freshness", self.freshness.look)
        self._keep(self._generation)
        self._schedule.start()
        self.report.event(
            "started", mailboxes=len(self.config.mailboxes), handlers=len(self.config.handlers), suspects=suspects
        )
        self._say_what_is_watched()
        self._notifier.ready(self.chores.status())
        standstill = Standstill(self.report, self.dispatcher.whose)
        standstill.start()
        self._stack.callback(standstill.stop)
        self._run_rooms()

    def _used(self) -> Iterator[Use]:
        """Say how much of Graph has been used; tenants that are one app share their budgets."""
        budgets = {id(each.client.budgets): each for each in self._generation.connections.values()}
        for connection in budgets.values():
            for mailbox, budget in connection.client.budgets:
                yield Use(connection.tenant.name, mailbox, budget.requests, budget.throttled)

    def _open_rooms(self) -> None:
        journal, clock, report = self.journal, self._clock, self.report
        desk = self._generation.desk
        every, window = self.config.reconcile.every, self.config.reconcile.window
        self.reconciler = Reconciler(journal=journal, clock=clock, report=report, every=every, window=window)
        self.rounds = Rounds(journal=journal, clock=clock, report=report, ended=self.reconciler.round_ended)
        self.chores.walked = self.rounds.walked
        self.timepiece = Timepiece(
            journal=journal, clock=clock, report=report, longest=self._longest_wait, hastened=self._work_came
        )
        self.retention = Retention(journal=journal, clock=clock, report=report)
        self.dispatcher = Dispatcher(
            desk, journal=journal, clock=clock, report=report, bind_log=self._bind_log, acted=self._actions_came
        )
        unstored = self.dispatcher.unstored
        self.actor = Actor(desk, journal=journal, clock=clock, report=report, unstored=unstored)
        self.unserved = UnservedWatch(journal=journal, clock=clock, report=report, desk=lambda: self.dispatcher.desk)

    def _run_rooms(self) -> None:
        """Let the rooms work, once READY is said: from then on the watchdog finds a handler that blocks everything."""
        for name, run in (("deliveries", self.dispatcher.run), ("actions", self.actor.run)):
            self.report.health.expect(name, ROUNDS_WITHIN)
            self._rooms.open(name, run)

    def _keep(self, generation: Generation) -> None:
        """Have the journal keep what the configuration says, for as long as it says, and ask who waits in vain."""
        policy = generation.config.retention
        self.retention.policy, self.retention.mails = policy, generation.desk.mails
        self._schedule.every(interval(policy), "retention", self.retention.run, limit=3600.0)
        self._schedule.every(unserved.EVERY, "unserved", self.unserved.look, at_once=True)

    def _bind_log(self, delivery: Delivery) -> Log:
        log: Log = self.report.log.bind(
            mailbox=delivery.message.mailbox,
            folder=delivery.message.folder,
            message=delivery.message_id,
            delivery=delivery.id,
            handler=delivery.handler,
            attempt=delivery.attempt,
        )
        return log

    def _longest_wait(self) -> float:
        return max([act.POLICY.longest, *(each.retry.longest for each in self.dispatcher.desk.handlers.values())])

    def _actions_came(self) -> None:
        self.actor.wake.set()

    def _work_came(self) -> None:
        self.dispatcher.wake.set()
        self.actor.wake.set()

    async def _watch(self, generation: Generation) -> None:
        """Take over the folders of a generation."""
        found = await pollers(
            generation, journal=self.journal, clock=self._clock, report=self.report, dispatcher=self.dispatcher
        )
        health = self.report.health
        health.watch(
            {(each.address, name): each.freshness for each in generation.config.mailboxes for name in each.folders},
            {each.address: each.tenant for each in generation.config.mailboxes},
        )
        health.expect(PROGRESS, ROUNDS_WITHIN)
        self.reconciler.replace(each.poller for each in found)
        self.rounds.replace(found)

    def _say_what_is_watched(self) -> None:
        for mailbox in self.config.mailboxes:
            start = mailbox.start if isinstance(mailbox.start, str) else mailbox.start.isoformat()
            self.report.event(
                "watching", mailbox=mailbox.address, folders=list(mailbox.folders), poll=mailbox.poll, start=start
            )

    async def _open_console(self) -> None:
        listen = self.config.console
        if listen is None:
            return
        from postroom.web import build_console, serve  # noqa: PLC0415 - it loads jinja2 and aiohttp's server: 3 MiB

        console = build_console(self.report.health.snapshot, self.report.metrics.render)
        try:
            host, port = await self._stack.enter_async_context(serve(console, listen.host, listen.port))
        except OSError as error:
            raise PostroomError(
                f"The console cannot listen on {listen.host}:{listen.port}: {error.strerror or error}.",
                remedy="Change `console.listen`, or stop what listens there.",
            ) from error
        whereabouts.note(self.config.journal, f"http://{f'[{host}]' if ':' in host else host}:{port}")
        self._stack.callback(whereabouts.forget, self.config.journal)
        self.report.event("console", listen=f"{host}:{port}")

    async def _tick(self) -> None:
        self.rounds.tick()

    async def reload(self, load: Callable[[], Config]) -> None:
        """Take over a new configuration: all that can fail first, then the swap; on an error the old one stays.

        Args:
            load: Reads it, in a thread.

        Raises:
            Exception: Whatever kept the new configuration from being taken over; it has been reported.
        """
        async with self._reloading:
            self._notifier.reloading()
            try:
                await self._take_over(await read_config(load))
            except Exception as error:
                self.report.event("reload_failed", reason=why_refused(error), details=problems_of(error))
                raise
            finally:
                self._notifier.ready(self.chores.status())

    async def _take_over(self, config: Config) -> None:
        check_reloadable(self.config, config)
        old = self._generation
        new = await build(config, old.connections, clock=self._clock, report=self.report)
        try:
            known = {id(each) for each in old.connections.values()}
            await self.chores.sign_in({name: each for name, each in new.connections.items() if id(each) not in known})
            await self._change_watch(old, new)
        except BaseException:
            await put_away(new, keep=old.connections, report=self.report)
            raise
        for connection in new.connections.values():
            connection.client.budgets.limit(config.limits.in_flight, config.limits.requests)
        self.config, self._generation = config, new
        self.reconciler.every, self.reconciler.window = config.reconcile.every, config.reconcile.window
        self.dispatcher.desk = self.actor.desk = new.desk
        self.chores.connections = new.connections
        self._keep(new)
        self.chores.forget(old.connections.keys() - new.connections.keys())
        self._work_came()
        reach("reload.swapped")
        self._retire(old, new)
        self.report.event("reloaded", mailboxes=len(config.mailboxes), handlers=len(config.handlers))
        self._say_what_is_watched()

    async def _change_watch(self, old: Generation, new: Generation) -> None:
        """Let the rounds under way end, then watch the new folders, or go on with the old ones if that fails."""
        try:
            reach("reload.draining")
            await self.reconciler.stop()
            await self.rounds.stop(self.config.limits.drain)
            reach("reload.drained")
            await self._watch(new)
        except asyncio.CancelledError:
            raise  # by the stop signal: there will be no more rounds, and a journal that fails is not waited for
        except BaseException:
            await self._watch_again(old)
            raise

    async def _watch_again(self, generation: Generation) -> None:
        """Watch the folders as before; a journal that fails is asked until it answers, for no folder may be dropped."""
        while True:
            try:
                await self._watch(generation)
            except JournalError as error:
                self.report.problem("journal", error)
                await self._clock.sleep(5.0)
            else:
                return

    def _retire(self, old: Generation, new: Generation) -> None:
        """Put the old generation away behind the new one's back, once what runs on its desk has ended."""
        task = asyncio.create_task(put_away(old, keep=new.connections, report=self.report))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def stop(self) -> None:
        """Start nothing new, let what runs finish within the drain limit, cut off the rest, put everything away."""
        limit = self.config.limits.drain
        self.report.event("stopping", limit=limit)
        self._notifier.stopping("letting deliveries finish")
        self._schedule.stop()
        reach("stop.draining")
        await self.reconciler.stop()
        await asyncio.gather(self.rounds.stop(limit), self.dispatcher.stop(limit), self.actor.stop(limit))
        # Outcomes wait in hand for a journal that has it, and one that is gone never will.
        await self._rooms.end(0.0 if self.journal.is_lost else limit, self._retiring)
        reach("stop.drained")
        self._say_what_is_left()
        await self._stack.aclose()
        reach("stop.closed")
        self.report.event("stopped")

    def _say_what_is_left(self) -> None:
        """Say whose end the journal did not take: nobody else will know that it has to do with them."""
        self.left_behind = left_behind(self.dispatcher.in_hand, self.actor.in_hand)
        if (left := self.left_behind) is not None:
            self.report.event("unstored", **left.fields, remedy=left.remedy)

    async def _put_away_present(self) -> None:
        """The drain is over: who still works on the desk cannot be stopped, and is not waited for."""
        await put_away(self._generation, keep={}, report=self.report, patience=LAST_MOMENT)
