"""What the rooms work with: open handlers, mailboxes and rules. A reload of the configuration swaps it whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postroom.model import RetryPolicy
from postroom.plugin import Handler
from postroom.ports import Mail
from postroom.rule import Rule


@dataclass(slots=True)
class OpenHandler:
    """A configured handler that has been opened.

    Attributes:
        timeout: Seconds one attempt may take.
        concurrency: Attempts that may run at once.
        busy: Attempts that run now.
    """

    name: str
    handler: Handler[Any]
    retry: RetryPolicy
    timeout: float
    concurrency: int
    busy: int = 0


@dataclass(slots=True)
class Desk:
    """Everything the rooms need that comes from one configuration.

    Attributes:
        handlers: Configured name -> open handler.
        mails: Mailbox address -> the mailbox.
        rules: Mailbox address -> rule name -> rule.
        http: Session for handlers' own calls to other systems.
        concurrency: Deliveries that may run at once in all.
        busy: Deliveries and mail actions that run now.
        idle: Set while nothing runs, so that a replaced desk can be put away.
    """

    handlers: Mapping[str, OpenHandler]
    mails: Mapping[str, Mail]
    rules: Mapping[str, Mapping[str, Rule]]
    http: Any
    concurrency: int = 100
    busy: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()

    def begin(self, handler: OpenHandler | None = None) -> None:
        """Count a delivery, or a mail action, as running."""
        self.busy += 1
        self.idle.clear()
        if handler is not None:
            handler.busy += 1

    def end(self, handler: OpenHandler | None = None) -> None:
        """Count it as finished."""
        self.busy -= 1
        if handler is not None:
            handler.busy -= 1
        if not self.busy:
            self.idle.set()

    def room(self) -> dict[str, int]:
        """Return how many more deliveries each handler may take, within the limit over all."""
        left = self.concurrency - self.busy
        free = {name: min(each.concurrency - each.busy, left) for name, each in self.handlers.items()}
        return {name: count for name, count in free.items() if count > 0}
