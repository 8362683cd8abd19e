"""Send one mail, once: reserve, draft with a tag, remember the draft, send, remember that.

After a crash or an uncertain answer the draft tells how it stands. It is looked for by its id, then by its tag, and
nothing is sent while that may still be on its way. The tag is made of what the mail comes of, so that it finds what
was sent even for a journal that lost its last moments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from postroom.errors import Forbidden, GraphError, NotFound, PostroomError, Refused, Throttled, Unavailable
from postroom.model import Forward, Message, Reply, Send
from postroom.outgoing import Letter, SendingLimits, filled
from postroom.pipeline.backlog import BUSY_WAIT
from postroom.pipeline.courtesy import is_answer, over, recipients, refusal
from postroom.pipeline.gone import make_sure
from postroom.pipeline.letters import plainly, tag, windows
from postroom.ports import (
    GONE,
    ActionTask,
    Busy,
    Clock,
    Draft,
    Journal,
    Mail,
    Refusal,
    Report,
    SendPlan,
    SendRecord,
    Traffic,
)

MARGIN: Final = timedelta(hours=1)
"""How much older than the mail it comes of a draft may look: clocks differ."""

ON_ITS_WAY: Final = "it may be on its way, and is sent again only after `sending.patience`"

LOST: Final = timedelta(days=30)
"""How far back a mail is looked for that a journal knows nothing of: one that was put back is as old as its backup."""

AGAIN: Final = "sent again; the first may have left too"
"""What is said of a mail that was handed over, was still a draft after all patience, and was handed over once more."""

UNKNOWN: Final = "unknown whether it left: its draft is gone, and no copy of it is in the mailbox"

_NAMES: Final = {Reply: "reply", Forward: "forward", Send: "send"}


class NotSentError(PostroomError):
    """Somebody asked for this mail, and it will not be sent."""


class HeldBackError(PostroomError):
    """The mail has to wait until `due_at`, for the reason given; nothing is wrong."""

    def __init__(self, why: str, due_at: datetime) -> None:
        super().__init__(why)
        self.due_at = due_at


@dataclass(frozen=True, slots=True)
class Posting:
    """One mail to be sent: the one that the action at `position` of the task asks for."""

    task: ActionTask
    position: int
    action: Letter
    mail: Mail
    limits: SendingLimits
    journal: Journal
    clock: Clock
    report: Report

    async def post(self) -> str:
        """Send it, unless it was sent, and say what happened; raises NotSentError, HeldBackError and GoneOnceError."""
        key = tag(self.task, self.position)
        record = await self.journal.send_record(key)
        if record is not None and record.state != "reserved":
            return record.note if record.state == "sent" else await self._go_on(record)
        message = await self.mail.message(self.task.message_id, "")
        if message is None:
            return await self._gone(key, record)
        action = filled(self.action, message) if self.task.origin.startswith("rule ") else self.action
        reserved = record or await self._reserve(key, action, message)
        return reserved if isinstance(reserved, str) else await self._begin(reserved, action, message)

    async def _reserve(self, key: str, action: Letter, message: Message) -> SendRecord | str:
        """Count the mail, or say why it is not sent."""
        if why := refusal(action, message, await self.mail.headers(self.task.message_id)):
            return self._withhold(why)
        answer, now, limits = is_answer(action, message), self.clock.now(), self.limits
        whom = tuple(each.lower() for each in recipients(action, message)) if answer else ()

        def decide(traffic: Traffic) -> Refusal | Busy | None:
            return over(limits, traffic, answer=answer)

        plan = SendPlan(key, self.task.mailbox, message.conversation_id, whom)
        found = await self.journal.reserve_send(plan, windows(limits, now), decide, now)
        match found:
            case Busy(why):
                raise self._held_back(why, now + BUSY_WAIT)
            case Refusal(why):
                return self._withhold(why)
            case _:
                return found

    async def _begin(self, record: SendRecord, action: Letter, message: Message) -> str:
        """Take up what has the tag already, or make the draft; then send it."""
        since = min(message.received_at, self.clock.now()) - MARGIN  # mail may be dated ahead, a draft of ours is not
        found = await self.mail.drafts.find(record.key, since)
        if any(not each.is_draft for each in found):
            return await self._sent(record, "sent earlier")
        for twin in found[1:]:  # one was made by a request that was believed to have failed
            await self.mail.drafts.discard(twin.id)
        draft = found[0] if found else await self._make(action, record.key, since)
        return await (self._gone(record.key, record) if draft is None else self._send(record, draft))

    async def _make(self, action: Letter, key: str, since: datetime) -> Draft | None:
        try:
            return await self.mail.drafts.make(self.task.message_id, action, key)
        except Unavailable:
            if found := await self.mail.drafts.find(key, since):  # only the answer was lost
                return found[0]
            raise
        except NotFound:
            if await self.mail.message(self.task.message_id, "") is None:
                return None
            raise
        except Refused as error:
            raise self._not_sent(str(error)) from error

    async def _go_on(self, record: SendRecord) -> str:
        """Find out what became of a draft that may have been sent."""
        draft = await self.mail.drafts.look(record.draft_id)
        if draft is None:  # an id that changed when it was sent has been seen (microsoft-graph-docs#11969)
            found = await self.mail.drafts.find(record.key, record.at - MARGIN)
            draft = next((each for each in found if not each.is_draft), found[0] if found else None)
        if draft is not None and not draft.is_draft:
            return await self._sent(record, "sent earlier")
        now, patience = self.clock.now(), timedelta(seconds=self.limits.patience)
        quiet_until = min(record.tried_at or record.at, now) + patience  # a clock that was ahead holds nothing back
        if now < quiet_until:
            raise self._held_back(ON_ITS_WAY, quiet_until)
        return await (self._unknown(record) if draft is None else self._send(record, draft, AGAIN))

    async def _unknown(self, record: SendRecord) -> str:
        """End with a draft that somebody deleted before or after it left; an answer is not worth sending twice."""
        self.report.event("send_unknown", **self._own(), reason=UNKNOWN)
        note = f"{self._name}: {UNKNOWN}"
        if not isinstance(self.action, Reply):
            raise NotSentError(f"{note}. Ask whom it was for; `postroom messages retry-actions` sends it again.")
        await self.journal.note_send(replace(record, state="sent", note=note))
        return note

    async def _send(self, record: SendRecord, draft: Draft, how: str = "sent") -> str:
        """Remember the draft, then hand it over: from the first on, it may have been sent."""
        drafted = replace(record, state="drafted", draft_id=draft.id, tried_at=self.clock.now())
        await self.journal.note_send(drafted)
        try:
            await self.mail.drafts.send(draft.id)
        except (Throttled, Forbidden, NotFound, Refused, Unavailable) as error:
            if isinstance(error, Throttled) or error.status == 401:  # noqa: PLR2004 - HTTP: the token was refused
                await self.journal.note_send(record)  # Graph looked at no mail: what was known before holds
                raise
            await self._look_behind(error, drafted, draft)
        return await self._sent(drafted, how)

    async def _look_behind(self, error: GraphError, record: SendRecord, draft: Draft) -> None:
        """Raise what the error comes to, unless the mail went out all the same: by an earlier try, or unheard of."""
        now = await self.mail.drafts.look(draft.id)
        if now is not None and not now.is_draft:
            return
        if now is not None and isinstance(error, Forbidden | Refused):
            await clear(record, self.mail, self.journal)
            raise self._not_sent(plainly(error)) from error
        if isinstance(error, Unavailable):
            raise error
        raise Unavailable(str(error), status=error.status, code=error.code, mailbox=self.task.mailbox) from error

    async def _gone(self, key: str, record: SendRecord | None) -> str:
        """Leave it unsent, once the message is surely gone, unless it was sent: the journal may have been put back."""
        since = self.clock.now() - LOST if record is None else record.at - MARGIN
        if any(not each.is_draft for each in await self.mail.drafts.find(key, since)):
            return await self._sent(record, "sent earlier")
        make_sure(self.task)
        return self._withhold(GONE)

    async def _sent(self, record: SendRecord | None, how: str) -> str:
        note = f"{self._name}: {how}"
        if record is not None:
            await self.journal.note_send(replace(record, state="sent", note=note))
        self.report.event("sent", **self._own(), how=how)
        return note

    def _held_back(self, why: str, until: datetime) -> HeldBackError:
        self.report.event("send_held_back", **self._own(), reason=why, until=until.isoformat())
        return HeldBackError(f"{self._name}: held back: {why}", until)

    def _withhold(self, why: str) -> str:
        """Leave an answer unsent with a note; what somebody asked for must not go missing without their knowing."""
        if not isinstance(self.action, Reply):
            raise self._not_sent(f"{self._name}: not sent: {why}.")
        self.report.event("not_sent", **self._own(), reason=why)
        return f"{self._name}: not sent: {why}"

    def _not_sent(self, why: str) -> NotSentError:
        self.report.event("not_sent", **self._own(), reason=why)
        return NotSentError(why)

    def _own(self) -> dict[str, str | int]:
        """Return what an event says of the mail; never whom it was for, nor what it says."""
        task = self.task
        labels: dict[str, str | int] = {"mailbox": task.mailbox, "message": task.number, "graph_id": task.message_id}
        return {**labels, "origin": task.origin, "kind": self._name}

    @property
    def _name(self) -> str:
        return _NAMES[type(self.action)]


async def clear(record: SendRecord, mail: Mail, journal: Journal) -> None:
    """Forget the draft, then delete it and whatever else has the tag and was not sent."""
    await journal.note_send(replace(record, state="reserved", draft_id="", tried_at=None))
    for draft in await mail.drafts.find(record.key, record.at - MARGIN):
        if draft.is_draft:
            await mail.drafts.discard(draft.id)
