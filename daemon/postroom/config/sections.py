"""The whole file as it stands, but for rules and tenants.

Settings that must be given have an empty default here, and the third pass asks for them: that way a mailbox without an
address still has its rules checked.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from postroom.config.fields import Duration, LongDuration, NonEmpty, Period, Section, as_list, refuse, written
from postroom.config.places import Folder, JournalUrl, ListenAddress, MailboxAddress, Start
from postroom.config.problems import Id
from postroom.config.rule_sections import RuleSection
from postroom.config.sending_sections import SendingSection
from postroom.config.tenant_sections import TenantSection

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"

_NO_OTHERS: JsonDict = {"additionalProperties": False}


def _name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        refuse(Id.BAD_NAME, "this name will not do; use up to 64 letters, digits, dots, dashes and underscores")
    return text


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"})]
"""A name given by the operator, which shows up in metrics and on the command line."""


def _allowed(least: int, most: int, what: str) -> tuple[Any, ...]:
    """Limit a number from above by what Graph lets an app do with one mailbox (throttling-limits docs)."""

    def check(value: int) -> int:
        if value > most:
            refuse(Id.OUT_OF_RANGE, f"{{value}} is too large: Graph allows an app {what} for one mailbox; write less")
        return value

    return Field(ge=least, json_schema_extra={"maximum": most}), AfterValidator(check)


class ConsoleSection(Section):
    """The web console with health and metrics."""

    listen: ListenAddress = "127.0.0.1:8642"
    """Host and port; port 0 takes a free one. The console asks for no password: keep it on this machine."""


class LimitsSection(Section):
    """How much at once."""

    in_flight: Annotated[int, *_allowed(1, 4, "4 requests at once")] = 3
    """Graph requests at once for one mailbox; Microsoft allows 4."""
    requests: Annotated[int, *_allowed(100, 10_000, "10,000 requests in 10 minutes")] = 10_000
    """Graph requests for one mailbox in any ten minutes; Microsoft allows 10,000."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Deliveries at once, all handlers together."""
    page_size: Annotated[int, Field(ge=1, le=999)] = 50
    """Messages in one page of a poll."""
    drain: Duration = written("30s")
    """How long running deliveries may go on when the daemon stops."""


class RetentionSection(Section):
    """How long the journal keeps what; `forever` keeps it."""

    snapshots: Period = written("30d")
    """The details of a mail (subject, sender, preview, notes, attempts), from when the last of it was settled."""
    ids: Period = written("400d")
    """The id of a mail that its mailbox does not have any more, from when it was seen."""


class ReconcileSection(Section):
    """How the journal is held against what Graph lists, to find mail that rounds have missed."""

    every: Annotated[LongDuration, Field(ge=60, le=7 * 86_400)] = written("1h")
    """How often each folder is compared, 1m to 7d; also after each walk of a whole folder."""
    window: Annotated[LongDuration, Field(ge=900, le=366 * 86_400)] = written("1d")
    """How far back by time of receipt, 15m to 366d, always to the last comparison; once a day to the folder's start."""


class LogSection(Section):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written."""
    format: Literal["auto", "json", "pretty"] = "auto"
    """`json` lines, `pretty` for people, or `auto`: pretty on a terminal."""


class RetrySection(Section):
    """How often and how patiently a failed attempt is repeated."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 8
    """Runs in all, the first one included; after the last the delivery is a dead letter."""
    first: Duration = written("30s")
    """Wait before the second run; it doubles from run to run."""
    longest: Duration = written("6h")
    """Upper limit of one wait."""


def _retry(value: Any) -> Any:
    if isinstance(value, int):
        refuse(Id.WRONG_KIND, "must be a mapping; write {{attempts: 3}} with the number of runs")
    return value


class BreakerSection(Section):
    """When a handler's deliveries are held because what it needs does not work."""

    after: Annotated[int, Field(ge=2, le=50)] = 5
    """Different mails that have to fail alike, with none done in between."""
    probe: LongDuration = written("30s")
    """Wait before one of them is tried again; it doubles each time."""
    longest: LongDuration = written("10m")
    """Upper limit of one wait."""


def _breaker(value: Any) -> Any:
    if value is True:
        return {}
    return None if value is False else value


class HandlerSection(Section):
    """A configured handler: a class with options, patience and limits."""

    model_config = ConfigDict(json_schema_extra={"required": ["use"]})

    use: NonEmpty = ""
    """An installed handler, `package.module:Class`, or `./file.py:Class` relative to this file."""
    with_: dict[str, Any] = Field(alias="with", default_factory=dict)
    """The handler's own options; `postroom handlers show NAME` explains them."""
    retry: Annotated[RetrySection, BeforeValidator(_retry)] = RetrySection()
    """What happens after a failed attempt."""
    breaker: Annotated[
        BreakerSection | None, BeforeValidator(_breaker, json_schema_input_type=BreakerSection | bool)
    ] = BreakerSection()
    """When its deliveries are held, instead of using their attempts up in an outage; `false` never holds them."""
    timeout: LongDuration = written("1m")
    """Time limit of one attempt."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Deliveries of this handler at once; where several mailboxes use it, one takes three quarters of them at most."""


class MailboxSection(Section):
    """A mailbox to watch."""

    model_config = ConfigDict(json_schema_extra={"required": ["address"]})

    address: MailboxAddress = ""
    """Its SMTP address, or the object id of its user."""
    tenant: Name | None = None
    """Which of `tenants` it is in; only with several."""
    folders: Annotated[
        tuple[Folder, ...],
        Field(min_length=1),
        BeforeValidator(as_list, json_schema_input_type=NonEmpty | Annotated[list[NonEmpty], Field(min_length=1)]),
    ] = ("Inbox",)
    """Folders to watch: well-known names, or paths such as `Inbox/Invoices`."""
    poll: Duration = written("1m")
    """How often each folder is looked at; 1s or more."""
    freshness: Duration | None = None
    """How old the last whole look at a folder may be before that is a problem; five times `poll`, and at least 1m."""
    start: Start = "now"
    """Where a folder seen for the first time begins: `now`, `all`, or a date that has passed."""
    rules: tuple[RuleSection, ...] = ()
    """What to do with which mails: every rule that fits applies, until one says `stop: true`."""


class File(Section):
    """Postroom's configuration."""

    model_config = ConfigDict(json_schema_extra={"required": ["mailboxes"]})

    version: Literal[1] = 1
    """Version of this format."""
    tenant: TenantSection | None = None
    """The tenant, when there is one."""
    tenants: Annotated[dict[Name, TenantSection] | None, Field(min_length=1, json_schema_extra=_NO_OTHERS)] = None
    """The tenants by name, when there are several; a mailbox then says which is its own."""
    journal: JournalUrl = "sqlite:///postroom.db"
    """Where everything is remembered: `sqlite:///FILE`, relative to this file, or `sqlite:////absolute/FILE`."""
    console: ConsoleSection | None = None
    """The web console; left out, there is none."""
    limits: LimitsSection = LimitsSection()
    """How much Postroom does at once."""
    retention: RetentionSection = RetentionSection()
    """How long the journal keeps what."""
    reconcile: ReconcileSection = ReconcileSection()
    """How the journal is held against what Graph lists."""
    sending: SendingSection = SendingSection()
    """How much is sent at most."""
    log: LogSection = LogSection()
    """What is logged, and in which form."""
    handlers: dict[Name, HandlerSection] = Field(default_factory=dict, json_schema_extra=_NO_OTHERS)
    """Handlers by the name that rules call them."""
    mailboxes: tuple[MailboxSection, ...] = ()
    """The mailboxes to watch."""
