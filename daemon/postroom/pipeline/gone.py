"""A mail that is gone: believed when Graph has said so twice, for once it says so of one that is there as well.

That it was said once stands in the journal, as the note of the mail action that met it: a restart forgets nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from postroom.errors import PostroomError
from postroom.ports import ActionTask

AGAIN: Final = timedelta(minutes=1)
"""Until it is asked for once more: fresh mail has been seen to answer 404 for seconds (microsoft-graph-docs#11068)."""

ONCE: Final = "the message was not found, and is asked for once more"


class GoneOnceError(PostroomError):
    """The mail was not found, for the first time."""


def make_sure(task: ActionTask) -> None:
    """Raise GoneOnceError unless the try before this one did not find the mail either."""
    if task.note != ONCE:
        raise GoneOnceError(ONCE)
