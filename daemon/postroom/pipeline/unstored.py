"""What the journal does not take at present: nothing else is begun meanwhile, for its end could not be kept either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from postroom.errors import JournalError, JournalGone
from postroom.model import Delivery
from postroom.ports import ActionTask

OUTCOMES = "journal outcomes"
"""What a journal that does not take the outcomes of handlers is reported as."""

RESULTS = "journal actions"
"""What one is reported as that fails the room of mail actions."""

SENDS = "journal sends"
"""What one is reported as that does not take which mail is about to be sent: it is not sent then."""

PAGES = "journal pages"
"""What one is reported as that does not take new mail."""

MOST_NAMED = 20
"""How many of those whose end was not stored are named."""


class Unstored:
    """Who waits in hand for the journal to take it, by subject; shared by the rooms. Each tries its own again."""

    def __init__(self) -> None:
        self._errors: dict[str, JournalError] = {}

    @contextmanager
    def storing(self, subject: str) -> Iterator[None]:
        """Learn from what is done within whether the journal takes what is in hand."""
        try:
            yield
        except JournalError as error:
            self._errors[subject] = error
            raise
        self._errors.pop(subject, None)

    def __contains__(self, subject: str) -> bool:
        """Say whether the journal does not take it."""
        return subject in self._errors

    def besides(self, subject: str) -> bool:
        """Say whether the journal does not take something else."""
        return any(each != subject for each in self._errors)

    def check(self) -> None:
        """Raise JournalError when new mail is not to be taken in."""
        for error in self._errors.values():
            if isinstance(error, JournalGone):
                raise error
            raise JournalError(
                "New mail is not taken in, because the journal does not take what became of earlier mail.",
                remedy=f"That is tried again each second; new mail waits in its folder. {error.remedy}",
            ) from error


def left_behind(outcomes: Sequence[Delivery], tasks: Sequence[ActionTask]) -> JournalError | None:
    """Return what to say at the end of those whose end was not stored; None where all was."""
    if not outcomes and not tasks:
        return None
    names = [f"{each.message.mailbox} message {each.message_id}: {each.handler}" for each in outcomes]
    names += [f"{each.mailbox} message {each.number}: mail actions of {each.origin}" for each in tasks]
    return JournalError(
        f"The journal did not take how {len(outcomes)} deliveries and {len(tasks)} sets of mail actions ended.",
        remedy="Mend the journal, then start again: for these the next start repeats what was done last.",
        deliveries=len(outcomes),
        actions=len(tasks),
        of=names[:MOST_NAMED],
    )
