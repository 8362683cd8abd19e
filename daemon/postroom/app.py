"""Composition root: builds the daemon from a configuration, starts it, reloads it, stops it. Wiring only.

Signals and exit codes live in `cli.run`, so that a test can run an `App` in its own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from postroom.build import Connection, Generation, build, pollers, put_away
from postroom.config import Config
from postroom.errors import AuthError, JournalError, PostroomError
from postroom.journal import SqlJournal, open_journal
from postroom.model import Delivery
from postroom.observe.notify import Notifier
from postroom.observe.report import Report
from postroom.pipeline.act import Actor
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.rounds import Rounds
from postroom.plugin import Log
from postroom.ports import Clock
from postroom.schedule import Schedule
from postroom.web import build_console, serve

TICK = 0.25
"""Seconds between two looks at which folders are due: a timer for each poll would cost three times the CPU."""

REFRESH_AHEAD = 600.0
"""Seconds before its expiry at which a token is refreshed; MSAL itself refreshes at 300."""

ROOM_IS_WELL = 30.0
"""Seconds a room must run after a defect before its problem counts as over."""

ROUNDS_WITHIN = 900.0
"""Seconds within which some round must end, whatever the intervals, or the watchdog is not fed."""


class App:
    """The daemon. ``async with App(...)`` starts and stops it; every step that was done is undone in reverse.

    Args:
        config: What to run; `reload` replaces it.
        report: Where log, metrics and health hear what happens.
        notifier: The line to systemd.
    """

    def __init__(self, config: Config, *, report: Report, clock: Clock, notifier: Notifier | None = None) -> None:
        self.config = config
        self.report = report
        self.journal: SqlJournal
        self.rounds: Rounds
        self.dispatcher: Dispatcher
        self.actor: Actor
        self._clock = clock
        self._notifier = notifier or Notifier({})
        self._generation: Generation
        self._schedule = Schedule()
        self._tasks: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._reloading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        """Journal, sign-in, handlers, folders, rooms, console, schedule; then READY."""
        self.journal = await open_journal(self.config.journal)
        self._stack.push_async_callback(self.journal.close)
        suspects = await self.journal.recover()
        self._generation = await build(self.config, {}, clock=self._clock, report=self.report)
        self._stack.push_async_callback(self._put_away_present)
        await self._sign_in(self._generation.connections)
        self._open_rooms()
        await self._watch(self._generation)
        await self._open_console()
        self._start_schedule()
        self.report.event(
            "started", mailboxes=len(self.config.mailboxes), handlers=len(self.config.handlers), suspects=suspects
        )
        self._notifier.ready(self._status())

    async def _sign_in(self, connections: Mapping[str, Connection]) -> None:
        """Get a first token of each tenant; refused credentials end the start, an outage does not."""
        for connection in connections.values():
            try:
                await connection.token.header()
            except AuthError as error:
                if not error.temporary:
                    raise
                self.report.problem(f"token {connection.tenant.name}", error)
            else:
                self._token_is_good(connection)

    def _open_rooms(self) -> None:
        journal, clock, report = self.journal, self._clock, self.report
        desk = self._generation.desk
        self.rounds = Rounds(journal=journal, clock=clock, report=report)
        self.actor = Actor(desk, journal=journal, clock=clock, report=report)
        self.dispatcher = Dispatcher(
            desk, journal=journal, clock=clock, report=report, bind_log=self._bind_log, acted=self.actor.wake.set
        )
        for name, run in (("deliveries", self.dispatcher.run), ("actions", self.actor.run)):
            self.report.health.expect(name, ROUNDS_WITHIN)
            self._tasks.append(asyncio.create_task(self._supervise(name, run)))

    def _bind_log(self, delivery: Delivery) -> Log:
        log: Log = self.report.log.bind(
            mailbox=delivery.message.mailbox,
            folder=delivery.message.folder,
            message=delivery.message_id,
            handler=delivery.handler,
            attempt=delivery.attempt,
        )
        return log

    async def _supervise(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a room; a defect in it is reported and it starts again, it never ends in silence."""
        while True:
            room = asyncio.create_task(run())
            try:
                await asyncio.wait({room}, timeout=ROOM_IS_WELL)
                if not room.done():
                    self.report.recovered(f"room {name}")
                await room
            except Exception as error:  # noqa: BLE001 - see the docstring
                self.report.problem(f"room {name}", error)
                await self._clock.sleep(1.0)
            else:
                return
            finally:
                room.cancel()

    def _work_came(self) -> None:
        self.dispatcher.wake.set()
        self.actor.wake.set()

    async def _watch(self, generation: Generation) -> None:
        """Take over the folders of a generation."""
        found = await pollers(
            generation, journal=self.journal, clock=self._clock, report=self.report, dispatched=self._work_came
        )
        health = self.report.health
        before = set(health.folders)
        health.watch({(each.folder.mailbox, each.folder.name): max(5 * poll, 60.0) for each, poll in found})
        health.forget([f"mailbox {mailbox}/{folder}" for mailbox, folder in before - set(health.folders)])
        health.expect("rounds", max(ROUNDS_WITHIN, *(2 * poll for _, poll in found), 0.0)) if found else None
        self.rounds.replace(found)

    async def _open_console(self) -> None:
        listen = self.config.console
        if listen is None:
            return
        console = build_console(self.report.health.snapshot, self.report.metrics.render)
        await self._stack.enter_async_context(serve(console, listen.host, listen.port))

    def _start_schedule(self) -> None:
        every = self._schedule.every
        every(TICK, "poll", self._tick)
        every(30.0, "tokens", self._refresh_tokens)
        every(15.0, "counts", self._count, at_once=True)
        every(60.0, "summary", self._sum_up)
        if (interval := self._notifier.watchdog_interval()) is not None:
            every(interval, "watchdog", self._feed_watchdog, at_once=True)
        self._schedule.start()

    async def _tick(self) -> None:
        self.rounds.tick()

    async def _refresh_tokens(self) -> None:
        """Refresh what expires soon, well before a poll would have to wait for it."""
        now = self._clock.now()
        for connection in self._generation.connections.values():
            expires = connection.token.expires_at
            if expires is not None and (expires - now).total_seconds() > REFRESH_AHEAD:
                continue
            try:
                await connection.token.refresh()
            except AuthError as error:
                self.report.problem(f"token {connection.tenant.name}", error)
            else:
                self._token_is_good(connection)

    def _token_is_good(self, connection: Connection) -> None:
        self.report.recovered(f"token {connection.tenant.name}")
        if (expires := connection.token.expires_at) is not None:
            self.report.event("token", tenant=connection.tenant.name, expires_at=expires)

    async def _count(self) -> None:
        try:
            self.report.counted(await self.journal.counts())
        except JournalError as error:
            self.report.problem("journal", error)
        self._notifier.status(self._status())

    async def _sum_up(self) -> None:
        self.report.sum_up()

    async def _feed_watchdog(self) -> None:
        if self.report.health.is_progressing(self._clock.monotonic()):
            self._notifier.watchdog()

    def _status(self) -> str:
        counts, health = self.report.health.counts, self.report.health
        waiting = counts.get("deliveries.ready", 0) + counts.get("deliveries.running", 0)
        dead = counts.get("deliveries.dead", 0)
        return (
            f"{health.status()}: {len(health.folders)} folders, {waiting} deliveries waiting, "
            f"{dead} dead letters, {len(health.troubles)} problems"
        )

    async def reload(self, load: Callable[[], Config]) -> None:
        """Take over a new configuration: all that can fail first, then the swap; on an error the old one stays.

        Raises PostroomError with the reason when the new configuration was not taken over.
        """
        async with self._reloading:
            self._notifier.reloading()
            try:
                await self._take_over(load())
            except PostroomError as error:
                self.report.event("reload_failed", reason=str(error))
                raise
            finally:
                self._notifier.ready(self._status())

    async def _take_over(self, config: Config) -> None:
        old = self._generation
        new = await build(config, old.connections, clock=self._clock, report=self.report)
        try:
            await self._sign_in(
                {name: each for name, each in new.connections.items() if each not in old.connections.values()}
            )
            await self.rounds.stop(self.config.limits.drain)
            await self._watch(new)
        except BaseException:
            await self._watch(old)
            await put_away(new, keep=old.connections)
            raise
        self.config, self._generation = config, new
        self.dispatcher.desk = self.actor.desk = new.desk
        self._work_came()
        task = asyncio.create_task(put_away(old, keep=new.connections))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self.report.event("reloaded", mailboxes=len(config.mailboxes), handlers=len(config.handlers))

    async def stop(self) -> None:
        """Start nothing new, let what runs finish within the drain limit, cut off the rest, put everything away."""
        limit = self.config.limits.drain
        self.report.event("stopping", limit=limit)
        self._notifier.stopping("letting deliveries finish")
        self._schedule.stop()
        await asyncio.gather(self.rounds.stop(limit), self.dispatcher.stop(limit), self.actor.stop(limit))
        _, late = await asyncio.wait(self._tasks, timeout=limit)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._retiring, return_exceptions=True)
        await self._stack.aclose()
        self.report.event("stopped")

    async def _put_away_present(self) -> None:
        await put_away(self._generation, keep={})
