"""What the pipeline says happened, led to log, metrics and health. The hot path is `done`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from postroom.errors import JournalGone, PostroomError
from postroom.model import Delivery
from postroom.observe.health import Health, Trouble, problem_id
from postroom.observe.log import compact
from postroom.observe.metrics import Metrics
from postroom.observe.plain_structlog import FilteringBoundLogger
from postroom.ports import BY_LIMIT, Clock

REMIND = 15 * 60.0
"""Seconds after which a problem that goes on is logged again."""
SUMMARY = 60.0
"""Seconds between two lines that sum up what was done without a word."""

LONG_WAIT = 60.0
"""Seconds before a Graph request is sent again from which an operator hears of it."""

WARNINGS = frozenset(
    {
        "failure_point",
        "resync",
        "fallback",
        "clock",
        "rule_lost",
        "set_aside",
        "close_failed",
        "stranded",
        "send_held_back",
        "send_unknown",
        "unblocked",
    }
)
ERRORS = frozenset({"reload_failed", "unreadable", "blocked", "unstored"})


class Report:
    """Implements `ports.Report`: says each thing once, at the right level, and counts everything.

    Attributes:
        log: May be replaced after a reload that changes the level.
    """

    def __init__(self, log: FilteringBoundLogger, metrics: Metrics, health: Health, clock: Clock) -> None:
        self.log = log
        self.metrics = metrics
        self.health = health
        self._clock = clock
        self._done: Counter[str] = Counter()
        self._summed_up = clock.monotonic()
        self._said: dict[str, tuple[float, Trouble]] = {}
        self._events: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "round": self._round,
            "round_failed": self._round_failed,
            "delivery": self._delivery,
            "action": self._action,
            "token": self._token,
            "started": self._started,
            "stopping": self._stopping,
            "stopped": self._stopped,
            "reloaded": self._reloaded,
            "reload_failed": self._reload_failed,
            "configuration": self._configuration,
            "resync": self._resync,
            "retry": self._retry,
            "sent": self._sent,
            "not_sent": self._not_sent,
            "send_held_back": self._held_back,
            "send_unknown": self._send_unknown,
            "breaker": self._breaker,
            "reconciled": self._reconciled,
            "fallback": self._fallback,
            "restored": self._restored,
            "pruned": self._pruned,
            "forgotten": self._forgotten,
        }

    def event(self, name: str, **fields: Any) -> None:
        """Say that something happened."""
        if (known := self._events.get(name)) is not None:
            known(fields)
        else:
            self._say(name, fields)

    def done(self, delivery: Delivery, seconds: float) -> None:
        """Say that a delivery is done and that there is nothing to add; a line for each is made for debugging alone."""
        self.metrics.delivery(delivery.handler, "done", seconds)
        self._tally("deliveries_done")
        if self.log.is_enabled_for(logging.DEBUG):
            self.log.debug("delivery", **delivery.labels, state="done", seconds=seconds)

    def problem(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        """Say that `subject` has failed: logged when it starts, when its text changes, and every `REMIND` seconds."""
        if isinstance(error, JournalGone):  # each room meets it, and the daemon ends for it: one cause is one problem
            subject, fields = "journal", {}
        for replaced in self.health.replaced_by(subject):
            self._over(replaced, replaced_by=problem_id(subject))
        trouble = self.health.problem(subject, error, fields)
        now = self._clock.monotonic()
        said = self._said.get(subject)
        if trouble.count > 1 and said is not None and now - said[0] < REMIND and trouble.same_text(said[1]):
            return
        self._said[subject] = (now, trouble)
        self.log.error("problem", **_lines(trouble), **_origin(error))

    def recovered(self, subject: str) -> None:
        """Say that `subject` works; silent unless it had a problem."""
        self._over(subject)

    def _over(self, subject: str, **more: str) -> None:
        trouble = self.health.recovered(subject)
        if trouble is None:
            return
        self._said.pop(subject, None)
        seconds = round((self._clock.now() - trouble.since).total_seconds(), 1)
        self.log.info(
            "recovered", id=trouble.id, subject=subject, after_seconds=seconds, failures=trouble.count, **more
        )

    def progress(self, subject: str) -> None:
        """Feed the watchdog."""
        self.health.progress(subject)

    def counted(self, counts: Mapping[str, int]) -> None:
        """Take over the journal's counts, for health and metrics."""
        self.health.counts = counts

    def sum_up(self) -> None:
        """Log what was done since the last summary, if anything; due each minute and at the end."""
        self._summed_up = self._clock.monotonic()
        if self._done:
            done, self._done = self._done, Counter()
            self.log.info("summary", **done)

    def _tally(self, what: str, count: int = 1) -> None:
        self._done[what] += count
        if self._clock.monotonic() - self._summed_up >= SUMMARY:
            self.sum_up()

    def _round(self, fields: dict[str, Any]) -> None:
        fresh = fields.get("fresh", 0)
        self.metrics.round("ok", fields.get("seconds"), fresh)
        self.health.walked(fields["mailbox"], fields["folder"], fields.get("mode", "delta"))
        (self.log.info if fresh else self.log.debug)("round", **fields)

    def _round_failed(self, fields: dict[str, Any]) -> None:
        """The operator hears of it by the problem of its folder, mailbox or tenant."""
        self.metrics.round("failed")
        self.log.debug("round_failed", **fields)

    def _delivery(self, fields: dict[str, Any]) -> None:
        state = str(fields["state"])
        self.metrics.delivery(fields["handler"], state, fields.get("seconds", 0.0))
        if state == "done":
            self._tally("deliveries_done")
            if self.log.is_enabled_for(logging.DEBUG):
                self.log.debug("delivery", **fields)
        else:
            self._unfinished("delivery", state, _with_remedy(fields) if state == "dead" else fields)

    def _action(self, fields: dict[str, Any]) -> None:
        state = str(fields["state"])
        self.metrics.action(str(fields.get("origin", "rule")).split(" ", 1)[0], state)
        if state == "done":
            self._tally("actions_done")
            self.log.debug("action", **fields)
        else:
            self._unfinished("action", state, _with_way_out(fields) if state == "dead" else fields)

    def _unfinished(self, name: str, state: str, fields: dict[str, Any]) -> None:
        """An attempt that has to be repeated without an error was cut off by a stop: nobody needs to look.

        One that is forgiven failed for what has a problem of its own already; of those there may be very many.
        """
        if state == "dead":
            self.log.error(name, **fields)
        elif fields.get("forgiven") and fields.get("error"):
            self._tally("deliveries_forgiven" if name == "delivery" else "actions_forgiven")
            self.log.debug(name, **fields)
        elif state == "ready" and fields.get("error"):
            self.log.warning(name, **fields)
        else:
            self.log.debug(name, **fields)

    def _token(self, fields: dict[str, Any]) -> None:
        self.metrics.token(fields["tenant"], fields["expires_at"])
        self._say("token", {**fields, "expires_at": fields["expires_at"].isoformat()})

    def _started(self, fields: dict[str, Any]) -> None:
        self.health.phase = "running"
        self._say("started", fields)

    def _stopping(self, fields: dict[str, Any]) -> None:
        self.health.phase = "stopping"
        self._say("stopping", fields)

    def _stopped(self, fields: dict[str, Any]) -> None:
        self.sum_up()
        self._say("stopped", fields)

    def _reloaded(self, fields: dict[str, Any]) -> None:
        self.metrics.reloaded(success=True)
        self.health.recovered("configuration")
        self._say("reloaded", fields)

    def _reload_failed(self, fields: dict[str, Any]) -> None:
        self.metrics.reloaded(success=False)
        details = fields.pop("details", fields.get("reason", ""))
        self.health.problem("configuration", _refused(str(details)), {})
        self._say("reload_failed", fields)

    def _configuration(self, fields: dict[str, Any]) -> None:
        severity = fields.pop("severity")
        (self.log.error if severity == "error" else self.log.warning)("configuration", **fields)

    def _resync(self, fields: dict[str, Any]) -> None:
        self.metrics.resync()
        self._say("resync", fields)

    def _reconciled(self, fields: dict[str, Any]) -> None:
        self.health.reconciled(fields["mailbox"], fields["folder"], fields["unaccounted"])
        self.metrics.healed(fields["healed"])
        (self.log.warning if fields["missing"] else self.log.debug)("reconciled", **fields)

    def _fallback(self, fields: dict[str, Any]) -> None:
        """Say it in the log and in health, in the log only when it is news: a reload makes none."""
        subject = _mode_of(fields)
        known = subject in self.health.troubles
        trouble = self.health.problem(subject, _listed(fields), {}, "warning")
        if not known:
            self._say("fallback", {"id": trouble.id, **fields})

    def _restored(self, fields: dict[str, Any]) -> None:
        self.health.recovered(_mode_of(fields))
        self._say("restored", fields)

    def _sent(self, fields: dict[str, Any]) -> None:
        self.metrics.send(fields["kind"], "sent")
        self._say("sent", fields)

    def _not_sent(self, fields: dict[str, Any]) -> None:
        limited = BY_LIMIT in fields["reason"]
        self.metrics.send(fields["kind"], "limited" if limited else "not_sent")
        if limited and fields["kind"] == "reply":  # of all else a dead set of mail actions tells
            self.health.withheld.note(fields["mailbox"], fields["reason"])
        self._say("not_sent", fields)

    def _held_back(self, fields: dict[str, Any]) -> None:
        """The metric is of the limit: it tells a loop from a mail whose sending was not heard of."""
        if BY_LIMIT in fields["reason"]:
            self.metrics.send(fields["kind"], "held_back")
        self._say("send_held_back", fields)

    def _send_unknown(self, fields: dict[str, Any]) -> None:
        self.metrics.send(fields["kind"], "unknown")
        self._say("send_unknown", fields)

    def _retry(self, fields: dict[str, Any]) -> None:
        status = fields.get("status")
        self.metrics.retry(status if isinstance(status, int) else 0)
        self._tally("graph_retries")
        (self.log.warning if fields.get("wait", 0.0) >= LONG_WAIT else self.log.debug)("retry", **fields)

    def _pruned(self, fields: dict[str, Any]) -> None:
        self.metrics.pruned("details", fields["messages"])
        self._tally("messages_pruned", fields["messages"])
        self.log.debug("pruned", **fields)

    def _forgotten(self, fields: dict[str, Any]) -> None:
        self.metrics.pruned("id", fields["messages"])
        self._tally("messages_forgotten", fields["messages"])
        self.log.debug("forgotten", **fields)

    def _breaker(self, fields: dict[str, Any]) -> None:
        """The operator hears of it by the problem of its handler."""
        self.metrics.breaker(fields["handler"], is_open=fields["state"] == "open")
        self.log.debug("breaker", **fields)

    def _say(self, name: str, fields: dict[str, Any]) -> None:
        level = self.log.error if name in ERRORS else self.log.warning if name in WARNINGS else self.log.info
        level(name, **fields)


def _mode_of(fields: Mapping[str, Any]) -> str:
    return f"mode {fields['mailbox']}/{fields['folder']}"


def _listed(fields: Mapping[str, Any]) -> PostroomError:
    return PostroomError(
        f"{fields['folder']} of {fields['mailbox']} is listed by time of receipt, because delta cannot run. "
        f"{fields['reason']}",
        remedy=fields["remedy"],
    )


def _refused(reason: str) -> PostroomError:
    return PostroomError(
        f"The configuration on disk was refused; the one before it stays in use. {reason}".rstrip(),
        remedy="Mend what is named, and reload again; `postroom check` reads the file, but opens no handler.",
    )


def _with_remedy(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"remedy": f"Mend the cause, then `postroom deliveries retry {fields['delivery']}`."}


def _with_way_out(fields: dict[str, Any]) -> dict[str, Any]:
    number = fields.get("message", "")
    return fields | {
        "remedy": f"Mend the cause, then `postroom messages retry-actions {number}`; where there is nothing to mend, "
        f"`postroom messages discard-actions {number}`, and leave such mail out of the rule."
    }


def _lines(trouble: Trouble) -> dict[str, Any]:
    own = {"id": trouble.id, "subject": trouble.subject, "what": trouble.what, "remedy": trouble.remedy}
    return {**trouble.fields, **own, "count": trouble.count}


def _origin(error: BaseException | str) -> dict[str, str]:
    """Where an error nobody foresaw came from; one of ours says enough by itself."""
    return {} if isinstance(error, (str, PostroomError)) else {"at": compact(error)["at"]}
