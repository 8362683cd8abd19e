"""What a configuration file comes to: frozen data that the rest of the program builds on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from postroom.config.problems import Place
from postroom.errors import Problem
from postroom.model import BreakerPolicy, RetentionPolicy, RetryPolicy
from postroom.outgoing import SendingLimits
from postroom.plugin import Handler, Options
from postroom.rule import Rule
from postroom.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the console listens; port 0 takes a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once.

    Attributes:
        in_flight: Graph requests for one mailbox; Microsoft allows 4.
        requests: Graph requests for one mailbox in any ten minutes; Microsoft allows 10,000.
        concurrency: Deliveries, all handlers together.
        page_size: Messages in one page of a poll.
        drain: Seconds that running deliveries may go on when the daemon stops.
    """

    in_flight: int = 3
    concurrency: int = 100
    page_size: int = 50
    drain: float = 30.0
    requests: int = 10_000


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """How the journal is held against Graph's listing: every so many seconds, so many seconds back."""

    every: float = 3600.0
    window: float = 86_400.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"


@dataclass(frozen=True, slots=True)
class ConfiguredHandler:
    """A handler class under the name that rules call it, with its validated options. Times in seconds.

    Attributes:
        breaker: When its deliveries are held; None for never.
        place: Where its options stand in the file, or a rule that names it without declaring it.
    """

    name: str
    use: str
    cls: type[Handler[Any]]
    options: Options
    retry: RetryPolicy
    timeout: float
    concurrency: int
    breaker: BreakerPolicy | None = None
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class WatchedMailbox:
    """A mailbox to watch.

    Attributes:
        tenant: Name of its tenant.
        poll: Seconds between two looks at a folder.
        freshness: Seconds that the last whole look may be ago.
        start: Where a folder seen for the first time begins; a date is aware, UTC.
    """

    tenant: str
    address: str
    folders: tuple[str, ...]
    poll: float
    start: Literal["now", "all"] | datetime
    rules: tuple[Rule, ...]
    freshness: float


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without errors.

    Attributes:
        path: The file it was read from, if it was one.
        warnings: What is odd about it, though it can be run.
        tenants: By name; a single ``tenant:`` is called ``default``.
        journal: SQLAlchemy URL; a SQLite file is absolute.
        console: None when there is none.
        handlers: By name, those included that rules name without declaring them.
    """

    path: Path | None
    warnings: tuple[Problem, ...]
    tenants: Mapping[str, Tenant]
    journal: str
    console: Listen | None
    limits: Limits
    retention: RetentionPolicy
    log: LogSettings
    handlers: Mapping[str, ConfiguredHandler]
    mailboxes: tuple[WatchedMailbox, ...]
    reconcile: ReconcileSettings = ReconcileSettings()
    sending: SendingLimits = field(default_factory=SendingLimits)
