"""What is known of a mail to be sent before anybody is asked: its place, its tag, its windows, its refusals. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from postroom.errors import Forbidden, GraphError
from postroom.model import Forward, Reply, Send
from postroom.outgoing import Letter, SendingLimits
from postroom.ports import ActionTask, Windows

NO_RIGHT: Final = (
    "Grant the app Mail.Send with admin consent (or the role Application Mail.Send of RBAC for Applications), wait for "
    "it to take effect, then `postroom messages retry-actions` for this message."
)


def letters(task: ActionTask) -> list[tuple[int, Letter]]:
    """Return the mails a task asks for, with their places among its actions."""
    return [(place, each) for place, each in enumerate(task.actions) if isinstance(each, Reply | Forward | Send)]


def tag(task: ActionTask, position: int) -> str:
    """Return what marks this one mail for ever: the same after a crash, and after a journal that was lost."""
    parts = (task.mailbox.lower(), task.message_id, task.origin, str(position))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def windows(limits: SendingLimits, now: datetime) -> Windows:
    """Return since when what was sent is counted."""
    return Windows(
        now - timedelta(seconds=limits.per_correspondent.seconds),
        now - timedelta(seconds=limits.per_conversation.seconds),
        now - timedelta(seconds=limits.per_mailbox.seconds),
    )


def plainly(error: GraphError) -> str:
    """Say it with a remedy that fits sending; Graph's codes mean other things when mail is read."""
    if isinstance(error, Forbidden) and error.code.lower() != "errorsendasdenied":
        return f"{error.message} {NO_RIGHT}"
    return f"{error.message} Look at whom it goes to and how large it is."
