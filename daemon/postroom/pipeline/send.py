"""Send the mails that actions ask for, each once. How one is sent: `posting`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postroom.outgoing import SendingLimits
from postroom.pipeline.letters import letters, tag
from postroom.pipeline.posting import HeldBackError, NotSentError, Posting, clear
from postroom.ports import ActionTask, Clock, Journal, Mail, Report


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of the mails of one task.

    Attributes:
        notes: What was sent or left unsent, for each.
        refused: Why one that somebody asked for never will be sent; nothing after it was tried.
        due_at: When to go on; nothing is wrong.
        held: Why it waits until then.
    """

    notes: tuple[str, ...] = ()
    refused: str = ""
    due_at: datetime | None = None
    held: str = ""


class Courier:
    """Sends for tasks; keeps nothing in memory."""

    def __init__(self, *, journal: Journal, clock: Clock, report: Report) -> None:
        self._journal = journal
        self._clock = clock
        self._report = report

    async def post(self, task: ActionTask, mail: Mail, limits: SendingLimits) -> Posted:
        """Send what the task asks for; raises GraphError, AuthError and JournalError when it is to be tried again."""
        notes: list[str] = []
        try:
            for position, action in letters(task):
                posting = Posting(task, position, action, mail, limits, self._journal, self._clock, self._report)
                notes.append(await posting.post())
        except HeldBackError as held:
            return Posted(tuple(notes), due_at=held.due_at, held=held.message)
        except NotSentError as error:
            return Posted(tuple(notes), refused=str(error))
        return Posted(tuple(notes))

    async def give_up(self, task: ActionTask, mail: Mail) -> None:
        """Delete the drafts of a task that is dead; raises GraphError and so on when that cannot be done."""
        for position, _ in letters(task):
            record = await self._journal.send_record(tag(task, position))
            if record is not None and record.state != "sent":
                await clear(record, mail, self._journal)
