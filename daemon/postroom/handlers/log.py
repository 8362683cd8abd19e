"""`log`: a line in the log for each mail."""

from __future__ import annotations

from typing import Any, Literal

from postroom.plugin import Context, Done, Handler, Message, Options, Outcome


class LogOptions(Options):
    """What the line says."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Level of the line."""

    people: bool = True
    """Name the sender and the recipients."""

    subject: bool = True
    """Quote the subject."""


class Log(Handler[LogOptions]):
    """Log a mail's metadata, never its text."""

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Log one mail."""
        write = {
            "debug": context.log.debug,
            "info": context.log.info,
            "warning": context.log.warning,
            "error": context.log.error,
        }[self.options.level]
        write("mail", **self._fields(message))
        return Done()

    def _fields(self, message: Message) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "received_at": message.received_at.isoformat(),
            "internet_message_id": message.internet_message_id,
            "importance": message.importance,
            "has_attachments": message.has_attachments,
        }
        if message.size is not None:
            fields["size"] = message.size
        if self.options.people:
            fields["sender"] = message.sender.address
            fields["to"] = [address.address for address in message.to]
        if self.options.subject:
            fields["subject"] = message.subject
        return fields
