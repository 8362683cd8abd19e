"""Named points at which a test can end the process as `kill -9` would: nothing is flushed, nobody is told.

``POSTROOM_CRASH_AT=page.committed`` ends the process when it comes to that point, ``page.committed:3`` the third time.
Without the variable a point costs a comparison.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VARIABLE: Final = "POSTROOM_CRASH_AT"

EXIT_CODE: Final = 137
"""What `kill -9` looks like to whoever waits for the process."""

POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # At the start
        "schema.written": "the journal's tables are made or upgraded, and not committed",
        "schema.committed": "the journal is open and has this program's tables",
        "recovery.written": "what was running is taken back, and not committed",
        "recovery.committed": "what was running is ready again, as suspects",
        "adoption.written": "the watched folders are in the journal, and not committed",
        "adoption.committed": "the watched folders are in the journal",
        "hastening.written": "what waits too long by the present clock waits less, and that is not committed",
        "hastening.committed": "what waits too long by the present clock waits less",
        # A page
        "page.fetched": "a page has come from Graph",
        "page.examined": "it is known which rules apply to a page's messages, and nothing of it is stored",
        "page.written": "a page, its deliveries and its link are written, and not committed",
        "page.committed": "a page is committed, and what was claimed with it does not run yet",
        "page.taken": "what was claimed with a page is handed over",
        # A round
        "walks.written": "the times of idle rounds are written, and not committed",
        "walks.committed": "the times of idle rounds are committed",
        "failure.written": "why a round failed is written, and not committed",
        "failure.committed": "why a round failed is committed",
        "restart.written": "a dead link is forgotten, and that is not committed",
        "restart.committed": "a dead link is forgotten, and the folder is about to be listed again",
        "reconciliation.written": "that nothing was missing in a folder is written, and not committed",
        "reconciliation.committed": "that nothing was missing in a folder is committed",
        "parking.written": "that a mailbox is parked is written, and not committed",
        "parking.committed": "that a mailbox is parked is committed",
        # A delivery
        "handler.starting": "an attempt is counted, and its handler about to run",
        "handler.ended": "a handler has ended, and nobody knows its outcome",
        "outcome.in_hand": "what is to become of a delivery is decided, and the journal does not have it",
        "turn.written": "outcomes are settled and deliveries claimed, and that is not committed",
        "turn.committed": "outcomes are settled and deliveries claimed, and none of these runs yet",
        "effect.written": "an effect is claimed by `once`, and that is not committed",
        "effect.committed": "an effect is claimed, and the handler has not heard so",
        "state.written": "a handler's state is written, and not committed",
        "state.committed": "a handler's state is committed, and the handler has not heard so",
        "hold.written": "a handler's deliveries are held and attempts forgiven, and that is not committed",
        "hold.committed": "a handler's deliveries are held and attempts forgiven",
        "release.written": "a handler's deliveries are held no longer, and that is not committed",
        "release.committed": "a handler's deliveries are held no longer",
        # A mail action
        "actions_claim.written": "mail actions are claimed, and that is not committed",
        "actions_claim.committed": "mail actions are claimed, and none runs yet",
        "action.starting": "a mail action is about to be carried out",
        "action.writing": "Graph is about to be asked for a change",
        "action.answered": "Graph has made a change",
        "action.in_hand": "a mail action has been carried out or failed, and the journal does not have it",
        "actions_settlement.written": "results of mail actions are written, and not committed",
        "actions_settlement.committed": "results of mail actions are committed",
        # A mail that is sent
        "reservation.written": "a mail to be sent is counted, and that is not committed",
        "reservation.committed": "a mail to be sent is counted, and nothing is made of it yet",
        "send.drafting": "Graph is about to be asked for a draft",
        "send.drafted": "Graph has made a draft, and nobody knows its id",
        "draft.written": "the id of a draft is written, and not committed",
        "draft.committed": "the id of a draft is committed, and it is about to be sent",
        "send.accepted": "Graph has taken a draft to be sent, and nobody knows",
        "sent.written": "that a mail was sent is written, and not committed",
        "sent.committed": "that a mail was sent is committed, and its action is not settled",
        # Retention
        "pruning.written": "the details of old mail are dropped, and that is not committed",
        "pruning.committed": "the details of old mail that were due are dropped",
        "forgetting.written": "the ids of mail that is gone are dropped, and that is not committed",
        "forgetting.committed": "the ids of mail that is gone are dropped",
        # A reload and a stop
        "reload.draining": "the new configuration is open, and rounds of the old one are under way",
        "reload.drained": "no round is under way, and the new folders are not watched yet",
        "reload.swapped": "the new configuration is in force, and the old one is not put away",
        "stop.draining": "the daemon was told to stop, and what runs goes on",
        "stop.drained": "everything is settled, and nothing is closed",
        "stop.closed": "everything is closed, and the process about to end",
    }
)
"""Each point with what has just happened, or is about to, when it is reached."""


class Failpoint:
    """Where the process ends: at the `left`-th time that `point` is reached. Without a point, nowhere."""

    def __init__(self, text: str = "") -> None:
        self.point = ""
        self.left = 1
        self.arm(text)

    def arm(self, text: str) -> None:
        """Choose the point and the time, such as ``page.committed:3``; raises ValueError for a point there is not."""
        name, _, count = text.partition(":")
        if name and (name not in POINTS or (count and not count.isdecimal())):
            raise ValueError(f"{VARIABLE}={text}: there is no such failure point; there are {', '.join(POINTS)}")
        self.point, self.left = name, int(count or 1)

    def reach(self, point: str) -> None:
        """End the process if this is the point and the time."""
        if point == self.point:
            self.left -= 1
            if self.left <= 0:
                os._exit(EXIT_CODE)


ARMED: Final = Failpoint(os.environ.get(VARIABLE, ""))
"""This process's own; a process that forked from another arms it anew."""

reach: Final = ARMED.reach
"""Say that a point is reached."""
