"""A handler that does nothing, for `drain.py`."""

from __future__ import annotations

from postroom.plugin import Context, Handler, Message, Options


class Noop(Handler[Options]):
    """Do nothing."""

    async def handle(self, message: Message, context: Context) -> None:
        """Return at once."""
