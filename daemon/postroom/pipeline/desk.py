"""What the rooms work with: open handlers, mailboxes and rules. A reload of the configuration swaps it whole."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from postroom.model import BreakerPolicy, RetryPolicy
from postroom.outgoing import SendingLimits
from postroom.plugin import Handler
from postroom.ports import ROUTING, Mail
from postroom.rule import Rule
from postroom.threads import Crew


@dataclass(slots=True)
class OpenHandler:
    """A configured handler that has been opened.

    Attributes:
        timeout: Seconds one attempt may take.
        concurrency: Attempts that may run at once.
        breaker: When its deliveries are held; None for never.
        stuck: Delivery -> attempts of it given up that run on because they cannot be stopped: they keep their places.
        threaded: Its `handle` is a plain method and runs in a thread.
        crew: The threads of what it calls by `asyncio.to_thread`, once it does.
    """

    name: str
    handler: Handler[Any]
    retry: RetryPolicy
    timeout: float
    concurrency: int
    breaker: BreakerPolicy | None = None
    stuck: Counter[int] = field(default_factory=Counter)
    threaded: bool = field(init=False)
    crew: Crew | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.threaded = not inspect.iscoroutinefunction(self.handler.handle)

    @property
    def stranded(self) -> int:
        """How many attempts were given up but run on."""
        return self.stuck.total() if self.stuck else 0

    def strand(self, delivery: int, change: int) -> None:
        """Count an attempt of a delivery that was given up but runs on (1), or that ended at last (-1)."""
        self.stuck[delivery] += change
        if not self.stuck[delivery]:
            del self.stuck[delivery]

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call made in a thread of this handler's."""
        if self.crew is None:
            self.crew = Crew(self.name)
        return self.crew.submit(function, *args, **kwargs)

    def dismiss(self) -> None:
        """Let its threads go, once it is closed; those that hang cannot be stopped, and are left."""
        if self.crew is not None:
            self.crew.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Desk:
    """Everything the rooms need that comes from one configuration.

    Attributes:
        handlers: Configured name -> open handler.
        mails: Mailbox address -> the mailbox.
        rules: Mailbox address -> rule name -> rule.
        http: Session for handlers' own calls to other systems.
        concurrency: Deliveries that may run at once in all.
        sending: How much may be sent.
        absent: Mailboxes not in `mails` that work waits for -> when some was tried last (monotonic seconds).
        busy: How many work on it now: deliveries, mail actions, and claims of either.
        idle: Set while nobody does, so that a replaced desk can be put away.
    """

    handlers: Mapping[str, OpenHandler]
    mails: Mapping[str, Mail]
    rules: Mapping[str, Mapping[str, Rule]]
    http: Any
    concurrency: int = 100
    sending: SendingLimits = field(default_factory=SendingLimits)
    absent: dict[str, float] = field(default_factory=dict)
    busy: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()

    def begin(self) -> None:
        """Count somebody who works on it."""
        self.busy += 1
        self.idle.clear()

    def end(self) -> None:
        """Count them as finished."""
        self.busy -= 1
        if not self.busy:
            self.idle.set()

    def free(self, running: Mapping[str, int]) -> dict[str, int]:
        """Return the handlers that may take more deliveries, each with how many, when so many of each run now."""
        free = {name: each.concurrency - running.get(name, 0) - each.stranded for name, each in self.handlers.items()}
        return {name: count for name, count in free.items() if count > 0}

    def choked(self) -> frozenset[str]:
        """Return the handlers that run nothing any more, for all their places are taken by what cannot be stopped."""
        return frozenset(name for name, each in self.handlers.items() if each.stranded >= each.concurrency)

    def left(self, running: Mapping[str, int]) -> int:
        """Return how many more deliveries may run in all; evaluating rules takes none of these places."""
        taken = sum(running.values()) - running.get(ROUTING, 0)
        return self.concurrency - taken - sum(each.stranded for each in self.handlers.values())


def share(free: Mapping[str, int], left: int, turn: int) -> dict[str, int]:
    """Split `left` places among those who are free to take some: evenly, then what remains in order.

    The order begins one further with each `turn`, so that in as many turns as there are names each is offered a place.
    `ROUTING` has places of its own.
    """
    if ROUTING in free:
        others = {name: count for name, count in free.items() if name != ROUTING}
        return {**share(others, left, turn), ROUTING: free[ROUTING]}
    if not free or left <= 0:
        return {}
    names = sorted(free)
    start = turn % len(names)
    shares = dict.fromkeys(names[start:] + names[:start], 0)
    for most in (max(1, left // len(names)), left):
        for name in shares:
            more = min(free[name] - shares[name], most, left)
            shares[name] += more
            left -= more
    return {name: count for name, count in shares.items() if count > 0}


def halved(room: Mapping[str, int]) -> dict[str, int]:
    """Return half of each room, one place at least."""
    return {name: (count + 1) // 2 for name, count in room.items()}
