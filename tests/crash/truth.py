"""What the tenant, the journal and the ledger know, and what follows when they are compared."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from crash.handlers import END

Key = str
"""A delivery's idempotency key."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that came: in which life, and the deliveries that must come of it.

    Attributes:
        then: What else must come of it: ``moved``, the subject of the mail that is sent, or nothing.
    """

    life: int
    message: str
    keys: tuple[Key, ...]
    then: str

    @property
    def conclusion(self) -> str:
        """What `then` is known by at the tenant."""
        return self.message if self.then == "moved" else self.then


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the ledger."""

    life: int
    attempt: int
    answer: str
    key: Key


@dataclass(slots=True)
class Findings:
    """What the comparison showed.

    Attributes:
        deliveries: Those that had to come about.
        lost: Life in which the mail came -> deliveries without a run, or not settled in the journal.
        undone: The same for mails whose `then` was not carried out.
        repeats: Life whose end was the cause -> runs that had been made before.
        forgotten: Repeats whose attempt a power cut had taken out of the journal.
        sent: Mails that were sent.
        faults: What must never be, in words.
    """

    deliveries: int = 0
    lost: Counter[int] = field(default_factory=Counter)
    undone: Counter[int] = field(default_factory=Counter)
    repeats: Counter[int] = field(default_factory=Counter)
    forgotten: int = 0
    sent: int = 0
    faults: list[str] = field(default_factory=list)


def read_ledger(path: Path) -> list[Run]:
    """Return the runs in the order in which they were noted; one whose note was cut short by a kill was none."""
    runs = []
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.endswith(END):
            life, attempt, answer, key = line.removesuffix(END).split(" ", 3)
            runs.append(Run(int(life), int(attempt), answer, key))
    return runs


def read_journal(path: Path) -> dict[Key, str]:
    """Return each delivery's state, also of those whose details were pruned."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return dict(database.execute(_DELIVERIES)) | {
            f"{message}/{handler}": state
            for message, settled in database.execute(_PRUNED)
            for handler, state in json.loads(settled).items()
        }


_DELIVERIES = """SELECT b.address || '/' || m.graph_id || '/' || d.handler, d.state FROM deliveries d
                 JOIN messages m ON m.id = d.message_id JOIN mailboxes b ON b.id = d.mailbox_id"""
_PRUNED = """SELECT b.address || '/' || m.graph_id, m.settled FROM messages m
             JOIN mailboxes b ON b.id = m.mailbox_id WHERE m.settled IS NOT NULL"""


def count_missed(log: Path) -> int:
    """Return how many mails rounds had missed, by the daemons' log: reconciling would hide that they were lost."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if '"reconciled"' in line)
    return sum(line["missing"] for line in lines)


def count_running(path: Path) -> int:
    """Return how many deliveries a dead daemon had under way."""
    return _count(path, "SELECT count(*) FROM deliveries WHERE state = 'running'")


def count_open(path: Path) -> int:
    """Return how many deliveries and mail actions are not done."""
    return _count(path, "SELECT count(*) FROM deliveries WHERE state <> 'done'") + _count(
        path, "SELECT count(*) FROM actions WHERE state <> 'done'"
    )


def _count(path: Path, query: str) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'actions'").fetchone():
            return 0
        return int(database.execute(query).fetchone()[0])


def compare(
    sent: Iterable[Sent],
    runs: Sequence[Run],
    journal: Mapping[Key, str],
    *,
    concluded: Mapping[str, int],
    gone: Collection[str],
    cuts: Collection[int],
) -> Findings:
    """Hold the three against each other.

    Args:
        concluded: What `then` is known by -> how often it was carried out.
        gone: Messages that do not exist any more, and that the journal may have forgotten.
        cuts: Lives that a power cut ended.
    """
    found, by_key = Findings(), _by_key(runs)
    expected: set[Key] = set()
    for mail in sent:
        found.deliveries += len(mail.keys)
        expected.update(mail.keys)
        for key in mail.keys:
            if key not in by_key or not _settled(mail, by_key[key], journal.get(key, ""), gone, cuts):
                found.lost[mail.life] += 1
        _look_at_then(mail, concluded, found)
    for key, made in by_key.items():
        if key not in expected:
            found.faults.append(f"a run of {key}, which nobody sent")
        _look_at_repeats(made, cuts, found)
    return found


def _by_key(runs: Iterable[Run]) -> dict[Key, list[Run]]:
    made: dict[Key, list[Run]] = defaultdict(list)
    for run in runs:
        made[run.key].append(run)
    return made


def _settled(mail: Sent, made: Sequence[Run], state: str, gone: Collection[str], cuts: Collection[int]) -> bool:
    """Say whether the journal has a delivery as done; a power cut may have made it forget one that was."""
    last = made[-1]
    forgotten = last.answer != "retry" and any(cut >= last.life for cut in cuts)
    return state == "done" or (not state and (mail.message in gone or forgotten))


def _look_at_then(mail: Sent, concluded: Mapping[str, int], found: Findings) -> None:
    """See that `then` was carried out, and that a mail was sent once, whatever ended the daemon."""
    if not mail.then:
        return
    count = concluded.get(mail.conclusion, 0)
    found.undone[mail.life] += count == 0
    if mail.then != "moved":
        found.sent += count > 0
        if count > 1:
            found.faults.append(f"{mail.then!r} was sent {count} times")


def _look_at_repeats(made: Sequence[Run], cuts: Collection[int], found: Findings) -> None:
    """Count the runs that nobody asked for, and see that each was announced, and that no effect was made twice."""
    if sum(run.answer == "first" for run in made) > 1:
        found.faults.append(f"`once` was the first more than once for {made[0].key}")
    for earlier, later in pairwise(made):
        was_cut = any(earlier.life <= cut < later.life for cut in cuts)
        if later.attempt <= earlier.attempt and not was_cut:
            found.faults.append(f"attempt {later.attempt} of {later.key} after attempt {earlier.attempt}")
        if earlier.answer == "retry" and later.attempt == earlier.attempt + 1:
            continue
        if earlier.life == later.life:
            found.faults.append(f"{later.key} twice in one life")
        is_forgotten = was_cut and later.attempt <= earlier.attempt
        found.repeats[min(cut for cut in cuts if cut >= earlier.life) if is_forgotten else earlier.life] += 1
        found.forgotten += is_forgotten
