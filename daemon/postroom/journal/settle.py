"""Settlements: read how the messages stand, decide in memory, write what follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, false, literal_column, select, update

from postroom.journal import actions, failures
from postroom.journal.codec import clean, decode_rules, decode_settled, micros
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries, is_state, messages
from postroom.model import DeliveryState, Settlement, Verdict
from postroom.ports import Conclude, Siblings

_STATES: Final = {state.value: state for state in DeliveryState}

_STAND: Final = PreparedIn(
    # The rows stay locked until the verdicts are written, so that an operator's word in between is not overwritten.
    lambda items: (
        select(
            deliveries.c.id,
            deliveries.c.message_id,
            deliveries.c.mailbox_id,
            deliveries.c.handler,
            deliveries.c.state,
            deliveries.c.attempt,
            messages.c.rules,
            messages.c.settled,
        )
        .join_from(deliveries, messages, deliveries.c.message_id == messages.c.id)
        .where(deliveries.c.message_id.in_(items))
        .with_for_update(of=deliveries)
    )
)
_DONE: Final = PreparedIn(
    lambda items: (
        update(deliveries)
        .where(
            deliveries.c.id.in_(items),
            is_state(deliveries.c.state, "running"),
            deliveries.c.attempt == bindparam("the_attempt"),
        )
        .values(
            {
                "state": literal_column("'done'"),
                "suspect": false(),
                "settled_at": bindparam("now"),
                "error": literal_column("''"),
                "note": literal_column("''"),
            }
        )
    ),
    before=("now",),
    after=("the_attempt",),
)
_END: Final = Prepared(
    update(deliveries)
    .where(deliveries.c.id == bindparam("the_id"))
    .values(
        {
            "state": bindparam("new_state"),
            "suspect": false(),
            "settled_at": bindparam("new_settled_at"),
            "error": bindparam("new_error"),
            "note": bindparam("new_note"),
        }
    ),
    "new_state",
    "new_settled_at",
    "new_error",
    "new_note",
    "the_id",
)
_AGAIN: Final = Prepared(
    update(deliveries)
    .where(deliveries.c.id == bindparam("the_id"))
    .values(
        {
            "state": literal_column("'ready'"),
            "due_at": bindparam("new_due_at"),
            "attempt": bindparam("new_attempt"),
            "granted": deliveries.c.granted + bindparam("forgiven"),
            "suspect": bindparam("new_suspect"),
            "error": bindparam("new_error"),
            "note": bindparam("new_note"),
        }
    ),
    "new_due_at",
    "new_attempt",
    "forgiven",
    "new_suspect",
    "new_error",
    "new_note",
    "the_id",
)


@dataclass(slots=True)
class _Stand:
    """How a message stands: its mailbox, what matched, and each handler's delivery; `attempts` are those running.

    `before` is what pruning left of it: handler or origin of mail actions -> state.
    """

    mailbox: int
    rules: str
    states: dict[str, DeliveryState] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)


class Settled(NamedTuple):
    """What finished, sorted: `simple` is attempt -> deliveries that are done and have nothing more to say."""

    simple: Mapping[int, Sequence[int]]
    others: Sequence[Settlement]


def sort(settled: Iterable[Settlement], quiet: Collection[str]) -> Settled:
    """Tell what can be settled alike, in mailboxes where nobody asks for anything afterwards, from the rest."""
    simple: dict[int, list[int]] = {}
    others: list[Settlement] = []
    for item in settled:
        delivery = item.delivery
        if _is_simple(item.verdict) and delivery.message.mailbox in quiet:
            simple.setdefault(delivery.attempt, []).append(delivery.id)
        else:
            others.append(item)
    return Settled(simple, others)


def settle(connection: Connection, settled: Settled, now: datetime, conclude: Conclude) -> None:
    """Store the verdicts and what follows from them. One on an attempt that is no longer running changes nothing."""
    _done(connection, settled.simple, micros(now))
    if settled.others:
        _settle_with_siblings(connection, settled.others, now, conclude)


def _is_simple(verdict: Verdict) -> bool:
    return verdict.state is DeliveryState.DONE and not (verdict.note or verdict.error or verdict.actions)


def _done(connection: Connection, simple: Mapping[int, Sequence[int]], now: int) -> None:
    for attempt, keys in simple.items():
        _DONE.once(connection, keys, now, attempt)


def _settle_with_siblings(
    connection: Connection, settled: Sequence[Settlement], now: datetime, conclude: Conclude
) -> None:
    stands = _read(connection, {item.delivery.message_id for item in settled})
    valid = [item for item in settled if _holds(item, stands)]
    ended = [item for item in valid if item.verdict.state is not DeliveryState.READY]
    again = [item for item in valid if item.verdict.state is DeliveryState.READY]
    simple, others = sort(ended, {item.delivery.message.mailbox for item in ended})
    _done(connection, simple, micros(now))
    _END.many(connection, [_end_row(item, micros(now)) for item in others])
    _AGAIN.many(connection, [_again_row(item, now) for item in again])
    failures.record(connection, [_attempt_row(item) for item in valid if _failed(item.verdict)])
    actions.record(connection, _requests(ended, stands, conclude), now)


def _read(connection: Connection, message_ids: Iterable[int]) -> dict[int, _Stand]:
    stands: dict[int, _Stand] = {}
    rows = _STAND.rows(connection, sorted(message_ids))
    for key, message_id, mailbox, handler, state, attempt, rules, settled in rows:
        stand = stands.get(message_id)
        if stand is None:
            stand = stands[message_id] = _stand(mailbox, rules, settled)
        stand.states[handler] = _STATES[state]
        if state == "running":
            stand.attempts[key] = attempt
    return stands


def _stand(mailbox: int, rules: str, settled: str | None) -> _Stand:
    """Begin with what was settled before the message was pruned, if it ever was."""
    if settled is None:
        return _Stand(mailbox, rules)
    before = decode_settled(settled)
    return _Stand(mailbox, rules, {name: _STATES[state] for name, state in before.items()}, before=before)


def _holds(item: Settlement, stands: dict[int, _Stand]) -> bool:
    """Say whether the attempt is the one that runs, and if so note its verdict among the siblings' states."""
    delivery = item.delivery
    stand = stands.get(delivery.message_id)
    if stand is None or stand.attempts.pop(delivery.id, None) != delivery.attempt:
        return False
    stand.states[delivery.handler] = item.verdict.state
    return True


def _end_row(item: Settlement, now: int) -> Values:
    verdict = item.verdict
    return (verdict.state.value, now, clean(verdict.error), clean(verdict.note), item.delivery.id)


def _again_row(item: Settlement, now: datetime) -> Values:
    """An attempt that was never made is given back; who survived one to its end is no longer a suspect."""
    verdict, delivery = item.verdict, item.delivery
    return (
        micros(verdict.due_at or now),
        delivery.attempt if verdict.counted or verdict.forgiven else delivery.attempt - 1,
        int(verdict.forgiven),
        delivery.suspect and not verdict.counted,
        clean(verdict.error),
        clean(verdict.note),
        delivery.id,
    )


def _failed(verdict: Verdict) -> bool:
    return verdict.counted and verdict.state is not DeliveryState.DONE


def _attempt_row(item: Settlement) -> Values:
    verdict, delivery = item.verdict, item.delivery
    ended = "retry" if verdict.state is DeliveryState.READY else verdict.state.value
    outcome = failures.FORGIVEN if verdict.forgiven else ended
    error = clean(verdict.error)
    return (delivery.id, delivery.attempt, micros(item.started_at), micros(item.ended_at), outcome, error)


def _requests(ended: Sequence[Settlement], stands: dict[int, _Stand], conclude: Conclude) -> actions.Requests:
    """Return what handlers asked for, then what their rules conclude now that these deliveries have ended."""
    requests: actions.Requests = {}
    for item in ended:
        message_id, wanted = item.delivery.message_id, item.verdict.actions
        if wanted:
            requests[message_id, f"handler {item.delivery.handler}"] = (stands[message_id].mailbox, wanted)
    for message_id, item in {item.delivery.message_id: item for item in ended}.items():
        for request in conclude(_siblings(item, stands[message_id])):
            if request.origin in stands[message_id].before:
                continue
            requests.setdefault((message_id, request.origin), (stands[message_id].mailbox, request.actions))
    return requests


def _siblings(item: Settlement, stand: _Stand) -> Siblings:
    message = item.delivery.message
    return Siblings(item.delivery.message_id, message.mailbox, message.folder, decode_rules(stand.rules), stand.states)
