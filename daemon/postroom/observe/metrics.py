"""Metrics: one prometheus registry as a value. What health knows is read from it at each scrape, not kept twice."""

from __future__ import annotations

import platform
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from postroom import __version__
from postroom.observe.health import Health
from postroom.observe.tally import Tally
from postroom.ports import Clock

ROUND_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Use(NamedTuple):
    """How much of Graph one mailbox has used: requests sent, and seconds it was throttled."""

    tenant: str
    mailbox: str
    requests: int
    throttled: float


class Metrics:
    """Counts what happens; `render` gives the text that Prometheus reads.

    Label values are names from the configuration and the states of the design, never anything a stranger writes.
    """

    used: Callable[[], Iterable[Use]] = staticmethod(tuple)
    """Says how much of Graph each mailbox has used; nothing before there are connections."""

    def __init__(self, health: Health, clock: Clock) -> None:
        # Otherwise each counter has a second series that nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library left it without types
        self.registry = registry = CollectorRegistry()
        self._messages = Counter("postroom_messages_total", "New messages taken in.", registry=registry)
        self._rounds = Counter(
            "postroom_rounds_total", "Walks of a folder, by outcome: ok or failed.", ["outcome"], registry=registry
        )
        self._round_seconds = Histogram(
            "postroom_round_seconds", "How long a finished round took.", buckets=ROUND_SECONDS, registry=registry
        )
        self._actions = Counter(
            "postroom_actions_total",
            "Mail actions carried out, by who asked (rule, handler) and how it went (done, ready, dead).",
            ["kind", "state"],
            registry=registry,
        )
        self._sends = Counter(
            "postroom_sends_total",
            "Mails to be sent, by kind (reply, forward, send) and outcome (sent, not_sent, limited, held_back...).",
            ["kind", "outcome"],
            registry=registry,
        )
        self._retries = Counter(
            "postroom_graph_retries_total", "Graph requests sent again, by HTTP status.", ["status"], registry=registry
        )
        self._resyncs = Counter("postroom_resyncs_total", "Folders listed again from the start.", registry=registry)
        self._pruned = Counter(
            "postroom_pruned_messages_total",
            "Messages whose details, or whose id, the journal dropped after its time.",
            ["what"],
            registry=registry,
        )
        self._healed = Counter(
            "postroom_healed_messages_total", "Messages that rounds had missed, taken in afterwards.", registry=registry
        )
        self._token_expiry = Gauge(
            "postroom_token_expiry_timestamp_seconds",
            "When the present access token expires, in Unix time.",
            ["tenant"],
            registry=registry,
        )
        self._reload = Gauge(
            "postroom_config_last_reload_success",
            "1 when the configuration last read is the one in use, 0 when it was refused.",
            registry=registry,
        )
        self._reload.set(1)
        build = Gauge("postroom_build_info", "Always 1.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        self._breaker = Gauge(
            "postroom_breaker_open",
            "1 while a handler's deliveries are held because different mails fail alike, 0 afterwards.",
            ["handler"],
            registry=registry,
        )
        self._tally = Tally()
        registry.register(_TallyCollector(self._tally))
        registry.register(_HealthCollector(health, clock))
        registry.register(_UseCollector(self))
        ProcessCollector(registry=registry)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def round(self, outcome: str, seconds: float | None = None, fresh: int = 0) -> None:
        """Count a round and the new messages it found."""
        self._rounds.labels(outcome).inc()
        if seconds is not None:
            self._round_seconds.observe(seconds)
        if fresh:
            self._messages.inc(fresh)

    def delivery(self, handler: str, state: str, seconds: float) -> None:
        """Count a finished attempt."""
        self._tally.add(handler, state, seconds)

    def action(self, kind: str, state: str) -> None:
        """Count the mail actions of one origin; `kind` is ``rule`` or ``handler``."""
        self._actions.labels(kind, state).inc()

    def send(self, kind: str, outcome: str) -> None:
        """Count a mail that was sent, not sent, or held back for a while."""
        self._sends.labels(kind, outcome).inc()

    def retry(self, status: int) -> None:
        """Count a Graph request that is sent again; status 0 is no answer."""
        self._retries.labels(str(status)).inc()

    def healed(self, messages: int) -> None:
        """Count messages that rounds had missed and reconciling took in."""
        self._healed.inc(messages)

    def resync(self) -> None:
        """Count a folder that is listed again."""
        self._resyncs.inc()

    def pruned(self, what: str, messages: int) -> None:
        """Count messages of which the journal dropped ``details`` or the ``id``."""
        self._pruned.labels(what).inc(messages)

    def token(self, tenant: str, expires_at: datetime) -> None:
        """Note when the tenant's token expires."""
        self._token_expiry.labels(tenant).set(expires_at.timestamp())

    def breaker(self, handler: str, *, is_open: bool) -> None:
        """Note whether a handler's deliveries are held."""
        self._breaker.labels(handler).set(is_open)

    def reloaded(self, *, success: bool) -> None:
        """Note whether the last configuration read was taken into use."""
        self._reload.set(success)


class _TallyCollector(Collector):
    """Reads the tally at each scrape; a counter and a histogram of the library take a lock each for every mail."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yield what has been counted."""
        deliveries = CounterMetricFamily(
            "postroom_deliveries",
            "Finished attempts, by the state they left the delivery in: done, ready (to be retried), dead, discarded.",
            labels=["handler", "state"],
        )
        for key, count in self._tally.counts.items():
            deliveries.add_metric(key, count)
        yield deliveries
        seconds = HistogramMetricFamily(
            "postroom_delivery_seconds", "How long an attempt of a handler took.", labels=["handler"]
        )
        for handler, spread in self._tally.spreads.items():
            seconds.add_metric([handler], list(spread.cumulated()), spread.seconds)
        yield seconds


class _UseCollector(Collector):
    """Reads how much of Graph has been used at each scrape; the budgets count anyway."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what the budgets have counted; of mailboxes that were never throttled nothing is said."""
        requests = CounterMetricFamily("postroom_graph_requests", "Requests sent to Graph.", labels=["tenant"])
        throttled = CounterMetricFamily(
            "postroom_mailbox_throttled_seconds",
            "Seconds for which Graph told Postroom to leave a mailbox alone.",
            labels=["mailbox"],
        )
        sent: Counts[str] = Counts()
        for use in self._metrics.used():
            sent[use.tenant] += use.requests
            if use.throttled:
                throttled.add_metric([use.mailbox], use.throttled)
        for tenant, count in sent.items():
            requests.add_metric([tenant], count)
        yield requests
        yield throttled


class _HealthCollector(Collector):
    """Reads health at each scrape."""

    def __init__(self, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what health knows at this moment."""
        now = self._clock.monotonic()
        freshness = GaugeMetricFamily(
            "postroom_mailbox_freshness_seconds",
            "Seconds since a watched folder was last walked to its end.",
            labels=["mailbox", "folder"],
        )
        for key, folder in self._health.folders.items():
            freshness.add_metric(key, folder.age(now))
        yield freshness
        yield from self._accounts()
        objective = GaugeMetricFamily(
            "postroom_mailbox_freshness_objective_seconds",
            "What the freshness of a watched folder may reach.",
            labels=["mailbox", "folder"],
        )
        for key, folder in self._health.folders.items():
            objective.add_metric(key, folder.limit)
        yield objective
        parked = sum(self._health.is_parked(mailbox) for mailbox in {mailbox for mailbox, _ in self._health.folders})
        yield GaugeMetricFamily("postroom_mailboxes_parked", "Mailboxes that cannot be used as a whole now.", parked)
        yield GaugeMetricFamily("postroom_problems", "Subjects that do not work now.", len(self._health.present()))
        yield GaugeMetricFamily(
            "postroom_dead_letters",
            "Deliveries in state dead, which wait for an operator.",
            self._health.counts.get("deliveries.dead", 0),
        )
        yield GaugeMetricFamily(
            "postroom_dead_actions",
            "Sets of mail actions in state dead, which wait for an operator.",
            self._health.counts.get("actions.dead", 0),
        )
        yield GaugeMetricFamily(
            "postroom_deliveries_waiting",
            "Deliveries in state ready or running.",
            self._health.counts.get("deliveries.ready", 0) + self._health.counts.get("deliveries.running", 0),
        )
        yield GaugeMetricFamily(
            "postroom_journal_bytes",
            "Size of the journal, its write-ahead log included.",
            self._health.counts.get("journal.bytes", 0),
        )

    def _accounts(self) -> Iterator[GaugeMetricFamily]:
        """Yield how each folder is walked, and what is missing of each mailbox."""
        mode = GaugeMetricFamily(
            "postroom_folder_mode",
            "1 for the way a watched folder is walked: delta, or listing.",
            labels=["mailbox", "folder", "mode"],
        )
        for (mailbox, folder), name in self._health.modes.items():
            mode.add_metric([mailbox, folder, name], 1)
        yield mode
        unaccounted = GaugeMetricFamily(
            "postroom_unaccounted_messages",
            "Messages known to be in a watched folder and not in the journal, not taken in yet.",
            labels=["mailbox"],
        )
        missing = Counts({mailbox: 0 for mailbox, _ in self._health.folders})
        for (mailbox, _), count in self._health.unaccounted.items():
            missing[mailbox] += count
        for mailbox, count in missing.items():
            unaccounted.add_metric([mailbox], count)
        yield unaccounted
