"""Named points at which a test can end the process, as a power cut would: nothing is flushed, nobody is told.

``POSTROOM_CRASH_AT=page.committed`` ends the process when it comes to that point, ``page.committed:3`` the third time.
Without the variable a point costs a comparison.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "POSTROOM_CRASH_AT"

EXIT_CODE: Final = 137
"""What `kill -9` looks like to whoever waits for the process."""

POINTS: Final[Mapping[str, str]] = {}
"""Each point with what has just happened, or is about to, when it is reached."""


class Failpoint:
    """Where the process ends: at the `left`-th time that `point` is reached. Without a point, nowhere."""

    def __init__(self, text: str) -> None:
        name, _, count = text.partition(":")
        if name and (name not in POINTS or (count and not count.isdecimal())):
            raise ValueError(f"{VARIABLE}={text}: there is no such failure point; there are {', '.join(POINTS)}")
        self.point = name
        self.left = int(count or 1)

    def reach(self, point: str) -> None:
        """End the process if this is the point and the time."""
        if point == self.point:
            self.left -= 1
            if self.left <= 0:
                os._exit(EXIT_CODE)


reach: Final = Failpoint(os.environ.get(VARIABLE, "")).reach
"""Say that a point is reached."""
