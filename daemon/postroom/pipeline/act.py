"""Carry out recorded mail actions through Graph: idempotently, retried on their own, one at a time a message."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from postroom.errors import JournalError, PostroomError
from postroom.failpoints import reach
from postroom.model import Forward, MailAction, Reply, RetryPolicy, Send
from postroom.pipeline.backlog import Backlog
from postroom.pipeline.desk import Desk
from postroom.pipeline.excuses import Excuses, is_of_mailbox
from postroom.pipeline.gone import AGAIN, GoneOnceError, make_sure
from postroom.pipeline.handle import crashed
from postroom.pipeline.limits import is_being_cancelled
from postroom.pipeline.send import Courier, Posted
from postroom.pipeline.settle import LONGEST_NOTE, back_off
from postroom.pipeline.unserved import ABSENT_WAIT
from postroom.pipeline.unstored import RESULTS, SENDS, Unstored
from postroom.pipeline.wake import Wake
from postroom.ports import GONE, ActionResult, ActionTask, Clock, Journal, Mail, MailboxLimit, Report

POLICY = RetryPolicy(attempts=12, first=5.0, longest=3600.0)
"""Mail actions wait out an outage of two hours before they become dead."""

LIMIT = 120.0
"""Seconds one task may take, its requests' own retries included."""

AT_ONCE = 96
"""Tasks that run at once."""

EACH = 8
"""Tasks of one mailbox that run at once: twice the requests Graph lets it have in flight. More would only wait there,
and keep other mailboxes' out."""

LAST = 30.0
"""Seconds, or more, until the deletion of a mail that is still worked on is looked at again."""

SUBJECT = RESULTS
"""What a journal that fails this room is reported as; other rooms' turns must not report it well again."""

PROGRESS = "actions"
"""What the watchdog knows this room as; each turn feeds it, for a quiet night is no standstill."""


class Actor:
    """Runs mail actions until it is stopped. `desk` is replaced when the configuration is reloaded.

    Args:
        unstored: What the journal does not take; nothing is claimed meanwhile.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        unstored: Unstored | None = None,
        random: Random | None = None,
    ) -> None:
        self.desk = desk
        self._unstored = unstored or Unstored()
        self.wake = Wake(clock, journal.next_due)
        self._journal = journal
        self._clock = clock
        self._report = report
        self._random = (random or Random()).random  # noqa: S311 - jitter, not a secret
        self._excuses = Excuses(clock)
        self._courier = Courier(journal=journal, clock=clock, report=report)
        self._backlog = Backlog(clock=clock, report=report)
        self._finished: list[ActionResult] = []
        self._unsent: set[int] = set()
        self._running: dict[asyncio.Task[None], ActionTask] = {}
        self._claiming = True

    async def run(self) -> None:
        """Turn after turn, until `stop` has been called and everything is settled.

        A result stays in hand until the journal has it, also when this ends with an error and is called again.
        """
        while self._claiming or self._running or self._finished:
            asked = self._clock.now()
            try:
                await self._turn()
            except JournalError as error:
                self._report.problem(SUBJECT, error)
                await self._clock.sleep(1.0)
            else:
                self._report.recovered(SUBJECT)
            self._report.progress(PROGRESS)
            self._backlog.look()
            if not self._finished:
                await self.wake.wait(asked)

    async def stop(self, limit: float) -> None:
        """Claim nothing more, let what runs finish within `limit` seconds, then cut it off."""
        self._claiming = False
        self.wake.set()
        if self._running:
            await asyncio.wait(list(self._running), timeout=limit)
        for task in self._running:
            task.cancel()
        self.wake.set()

    @property
    def in_hand(self) -> list[ActionTask]:
        """The mail actions of which the journal does not know how they went."""
        return [each.task for each in self._finished]

    async def _turn(self) -> None:
        results = list(self._finished)
        if results:
            with self._unstored.storing(RESULTS):
                await self._journal.settle_actions(results)
            del self._finished[: len(results)]
        room = AT_ONCE - len(self._running) if self._claiming and not self._unstored.besides(RESULTS) else 0
        if room > 0:
            self._start(await self._journal.claim_actions(room, self._clock.now(), self._busy(), self._most()))

    def _busy(self) -> list[str]:
        """Return the messages that have an action under way, as far as the journal knows."""
        return [
            *(task.message_id for task in self._running.values()),
            *(each.task.message_id for each in self._finished),
        ]

    def _most(self) -> MailboxLimit:
        """Return how many each mailbox may have beside those that run."""
        running = Counter(task.mailbox for task in self._running.values())
        return MailboxLimit(EACH, {mailbox: max(EACH - count, 0) for mailbox, count in running.items()})

    def _start(self, claimed: Sequence[ActionTask]) -> None:
        """Start what was claimed; after a stop that came meanwhile, give it back instead."""
        for task in claimed:
            if self._claiming:
                self.desk.begin()
                running = asyncio.create_task(self._carry_out(self.desk, task))
                self._running[running] = task
                running.add_done_callback(lambda running: self._running.pop(running, None))
            else:
                self._finished.append(self._given_back(task))

    async def _carry_out(self, desk: Desk, task: ActionTask) -> None:
        reach("action.starting")
        try:
            result = await self._settled(desk, task)
        finally:
            desk.end()
        self._finished.append(result)
        reach("action.in_hand")
        self.wake.set()
        if task.waits_until is not None:
            return  # it was not tried, and will be looked at again before long
        self._report.event(
            "action",
            mailbox=task.mailbox,
            message=task.number,
            graph_id=task.message_id,
            origin=task.origin,
            attempt=task.attempt,
            state=result.state,
            note=result.note,
            error=result.error,
            forgiven=not result.counted,
        )

    async def _settled(self, desk: Desk, task: ActionTask) -> ActionResult:
        """Return how it went, whatever happens: an action must not be left claimed for ever."""
        try:
            result = self._untried(desk, task) or await self._result(desk, desk.mails[task.mailbox], task)
        except asyncio.CancelledError as error:
            result = self._given_back(task) if is_being_cancelled() else self._failed(task, crashed(error).reason)
        except JournalError as error:
            return self._unrecorded(task, error)
        except Exception as error:  # noqa: BLE001 - a defect here is a failed try
            result = self._failed(task, crashed(error).reason)
        self._recorded(task)
        return await self._without_drafts(desk, result) if result.state == "dead" and _sends(task.actions) else result

    def _untried(self, desk: Desk, task: ActionTask) -> ActionResult | None:
        """Return what becomes of a task that cannot be tried now; None when it can."""
        if task.waits_until is not None:
            return self._postponed(task, task.waits_until)
        if task.mailbox not in desk.mails:
            desk.absent[task.mailbox] = self._clock.monotonic()
            error, now = f"Mailbox {task.mailbox} is not in the configuration any more", self._clock.now()
            due_at = now + timedelta(seconds=ABSENT_WAIT)
            return ActionResult(task, "ready", now, due_at=due_at, error=error, counted=False)
        return None

    async def _result(self, desk: Desk, mail: Mail, task: ActionTask) -> ActionResult:
        try:
            async with asyncio.timeout(LIMIT):
                posted = await self._courier.post(task, mail, desk.sending) if _sends(task.actions) else Posted()
                self._backlog.heard(task.mailbox, task.id, posted.held)
                if posted.refused or posted.due_at:
                    return self._not_posted(task, posted)
                note = await self._act(mail, task, posted.notes)
        except GoneOnceError as once:
            now = self._clock.now()
            return ActionResult(task, "ready", now, due_at=now + AGAIN, note=once.message, counted=False)
        except JournalError:
            raise
        except TimeoutError:
            error = f"TimedOut: not done within {LIMIT:g} s"
            return self._excused(mail, task, asyncio.CancelledError(), error) or self._failed(task, error)
        except PostroomError as trouble:
            error = f"{type(trouble).__name__}: {trouble}"
            at_least = getattr(trouble, "retry_after", None) or 0.0
            return self._excused(mail, task, trouble, error) or self._failed(task, error, at_least)
        self._excuses.forget(task.id)
        return ActionResult(task, "done", self._clock.now(), note=note[:LONGEST_NOTE])

    def _excused(self, mail: Mail, task: ActionTask, trouble: BaseException, error: str) -> ActionResult | None:
        """Try again at no cost where the mailbox could not be asked: an outage may last longer than the attempts."""
        if not is_of_mailbox(trouble):
            return None
        wait = self._excuses.wait(task.id, trouble, mail.answered_at, POLICY.first)
        if wait is None:
            return None
        now = self._clock.now()
        due_at = now + timedelta(seconds=wait)
        return ActionResult(task, "ready", now, due_at=due_at, error=error[:LONGEST_NOTE], counted=False)

    def _unrecorded(self, task: ActionTask, error: JournalError) -> ActionResult:
        """Try again at no cost what the journal must know of before it is done."""
        self._unsent.add(task.id)
        self._report.problem(SENDS, error)
        now = self._clock.now()
        due_at, text = now + timedelta(seconds=POLICY.first), str(error)[:LONGEST_NOTE]
        return ActionResult(task, "ready", now, due_at=due_at, error=text, counted=False)

    def _recorded(self, task: ActionTask) -> None:
        """Say that the journal takes it again, once it does so for all."""
        if task.id in self._unsent:
            self._unsent.remove(task.id)
            if not self._unsent:
                self._report.recovered(SENDS)

    async def _act(self, mail: Mail, task: ActionTask, notes: tuple[str, ...]) -> str:
        """Carry out what does not send: last, for a mail that was deleted cannot be answered."""
        others = task.actions if not notes else tuple(each for each in task.actions if not _sends((each,)))
        if not others:
            return ", ".join(notes)
        done = await mail.act(task.message_id, others)
        if done == GONE:
            make_sure(task)
        return ", ".join([*notes, done])

    def _not_posted(self, task: ActionTask, posted: Posted) -> ActionResult:
        now, note = self._clock.now(), ", ".join(filter(None, (*posted.notes, posted.held)))[:LONGEST_NOTE]
        if posted.refused:
            return ActionResult(task, "dead", now, error=posted.refused[:LONGEST_NOTE], note=note)
        return ActionResult(task, "ready", now, due_at=posted.due_at, note=note, counted=False)

    async def _without_drafts(self, desk: Desk, result: ActionResult) -> ActionResult:
        """Leave no draft of ours behind for somebody to send by hand, or say that there is one."""
        try:
            async with asyncio.timeout(LIMIT):
                await self._courier.give_up(result.task, desk.mails[result.task.mailbox])
        except asyncio.CancelledError as error:
            return self._given_back(result.task) if is_being_cancelled() else _with_draft(result, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the action is dead, and the operator reads why
            return _with_draft(result, error)
        return result

    def _failed(self, task: ActionTask, error: str, at_least: float = 0.0) -> ActionResult:
        """Try again later, not before Graph's Retry-After; a short one must not use the attempts up in one outage."""
        now = self._clock.now()
        if task.attempt >= POLICY.attempts:
            return ActionResult(task, "dead", now, error=error[:LONGEST_NOTE])
        wait = max(back_off(POLICY, task.attempt, self._random), min(at_least, POLICY.longest))
        return ActionResult(task, "ready", now, due_at=now + timedelta(seconds=wait), error=error[:LONGEST_NOTE])

    def _postponed(self, task: ActionTask, until: datetime) -> ActionResult:
        """Leave a mail that is to be deleted to whom it is still needed by."""
        now = self._clock.now()
        note = "waits until all else is done with the mail"
        return ActionResult(
            task, "ready", now, due_at=max(until, now + timedelta(seconds=LAST)), note=note, counted=False
        )

    def _given_back(self, task: ActionTask) -> ActionResult:
        now = self._clock.now()
        return ActionResult(task, "ready", now, due_at=now)


def _with_draft(result: ActionResult, error: BaseException) -> ActionResult:
    """Say that a draft may be left, and of what nobody foresaw where it came from."""
    left = " A draft of it may be left in Drafts: delete it there, or `postroom messages retry-actions`."
    foreseen = isinstance(error, PostroomError | TimeoutError | KeyError)
    why = "" if foreseen else f" {crashed(error).reason}"
    return replace(result, error=(result.error + left + why)[:LONGEST_NOTE])


def _sends(actions: Sequence[MailAction]) -> bool:
    return any(isinstance(action, Reply | Forward | Send) for action in actions)
