"""Carry out recorded mail actions through Graph: idempotently, retried on their own, one at a time a message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

from postroom.errors import JournalError, PostroomError
from postroom.model import RetryPolicy
from postroom.pipeline.desk import Desk
from postroom.pipeline.settle import LONGEST_NOTE, back_off
from postroom.pipeline.wake import Wake
from postroom.ports import ActionResult, ActionTask, Clock, Journal, Report

POLICY = RetryPolicy(attempts=12, first=5.0, longest=3600.0)
"""Mail actions wait out an outage of several hours before they become dead."""

LIMIT = 120.0
"""Seconds one task may take, its requests' own retries included."""

AT_ONCE = 50
"""Tasks that run at once; each mailbox's own limit of requests in flight holds as well."""


class Actor:
    """Runs mail actions until it is stopped. `desk` is replaced when the configuration is reloaded."""

    def __init__(
        self, desk: Desk, *, journal: Journal, clock: Clock, report: Report, random: Random | None = None
    ) -> None:
        self.desk = desk
        self.wake = Wake(clock, journal.next_due)
        self._journal = journal
        self._clock = clock
        self._report = report
        self._random = (random or Random()).random  # noqa: S311 - jitter, not a secret
        self._finished: list[ActionResult] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._claiming = True

    async def run(self) -> None:
        """Turn after turn, until `stop` has been called and everything is settled."""
        while self._claiming or self._running or self._finished:
            self._report.progress("actions")
            asked = self._clock.now()
            try:
                await self._turn()
            except JournalError as error:
                self._report.problem("journal", error)
                await self._clock.sleep(1.0)
            if not self._finished:
                await self.wake.wait(asked)

    async def stop(self, limit: float) -> None:
        """Claim nothing more, let what runs finish within `limit` seconds, then cut it off."""
        self._claiming = False
        self.wake.set()
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=limit)
        for task in tasks:
            task.cancel()
        self.wake.set()

    async def _turn(self) -> None:
        results = list(self._finished)
        if results:
            await self._journal.settle_actions(results)
            del self._finished[: len(results)]
        room = AT_ONCE - len(self._running) if self._claiming else 0
        if room <= 0:
            return
        for task in await self._journal.claim_actions(room, self._clock.now(), list(self._running)):
            self.desk.begin()
            self._running[task.message_id] = asyncio.create_task(self._carry_out(self.desk, task))

    async def _carry_out(self, desk: Desk, task: ActionTask) -> None:
        try:
            result = await self._result(desk, task)
        except asyncio.CancelledError:
            now = self._clock.now()
            result = ActionResult(task, "ready", now, due_at=now, error="The daemon was stopping")
        finally:
            desk.end()
            del self._running[task.message_id]
        self._finished.append(result)
        self._report.event(
            "action",
            mailbox=task.mailbox,
            message=task.message_id,
            origin=task.origin,
            attempt=task.attempt,
            state=result.state,
            note=result.note,
            error=result.error,
        )
        self.wake.set()

    async def _result(self, desk: Desk, task: ActionTask) -> ActionResult:
        mail = desk.mails.get(task.mailbox)
        if mail is None:
            return self._failed(task, f"Mailbox {task.mailbox} is not in the configuration any more")
        try:
            async with asyncio.timeout(LIMIT):
                note = await mail.act(task.message_id, task.actions)
        except TimeoutError:
            return self._failed(task, f"TimedOut: not done within {LIMIT:g} s")
        except PostroomError as error:
            return self._failed(task, f"{type(error).__name__}: {error}", getattr(error, "retry_after", None))
        return ActionResult(task, "done", self._clock.now(), note=note)

    def _failed(self, task: ActionTask, error: str, after: float | None = None) -> ActionResult:
        now = self._clock.now()
        if task.attempt >= POLICY.attempts:
            return ActionResult(task, "dead", now, error=error[:LONGEST_NOTE])
        wait = back_off(POLICY, task.attempt, self._random) if after is None else after
        return ActionResult(task, "ready", now, due_at=now + timedelta(seconds=wait), error=error[:LONGEST_NOTE])
