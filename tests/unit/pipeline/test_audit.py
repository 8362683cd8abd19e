"""Each message that Graph lists is counted once: as the journal has it, or as one that it has not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroom.pipeline.audit import MARGIN, FolderAudit, Missing, Watched, compare, confirmed
from postroom.testing.clock import START

HOUR = timedelta(hours=1)
WATCHED = Watched("a@b", "Inbox", floor=START, last_round=START + 10 * HOUR)


def test_what_the_journal_has_counts_by_its_state_and_what_has_left_the_folder_is_extra():
    listed = {"one": START, "two": START, "three": START}
    found = compare(WATCHED, listed, {"one": "done", "two": "dead", "three": "done", "moved": "done"})
    assert (found.seen, found.journalled, found.extra, found.missing) == (3, 3, 1, ())
    assert found.states == {"done": 2, "dead": 1}


@pytest.mark.parametrize(
    ("received", "counts_as"),
    [
        (START - HOUR, "before_start"),
        (START, "missing"),
        (START + 10 * HOUR - MARGIN - timedelta(seconds=1), "missing"),
        (START + 10 * HOUR - MARGIN, "to_come"),
        (START + 11 * HOUR, "to_come"),
    ],
)
def test_what_the_journal_has_not_is_missing_if_a_round_should_have_brought_it(received, counts_as):
    found = compare(WATCHED, {"one": received}, {})
    counts = {"before_start": found.before_start, "missing": len(found.missing), "to_come": found.to_come}
    assert counts == {"before_start": 0, "missing": 0, "to_come": 0} | {counts_as: 1}
    assert found.seen == 1


def test_old_mail_that_was_moved_in_and_handled_counts_as_handled():
    assert compare(WATCHED, {"one": START - HOUR}, {"one": "done"}).states == {"done": 1}


def test_in_a_folder_that_was_never_walked_everything_is_to_come():
    assert compare(Watched("a@b", "Inbox"), {"one": START}, {}).to_come == 1


def test_missing_mail_is_listed_oldest_first():
    listed = {"late": START + 2 * HOUR, "early": START + HOUR}
    assert [each.id for each in compare(WATCHED, listed, {}).missing] == ["early", "late"]


def test_only_what_two_looks_miss_is_missing_and_the_rest_is_to_come():
    first = FolderAudit("a@b", "Inbox", missing=(Missing("one", START), Missing("brought", START)))
    again = FolderAudit("a@b", "Inbox", missing=(Missing("one", START), Missing("just moved in", START)), seen=9)
    found = confirmed(first, again)
    assert [each.id for each in found.missing] == ["one"]
    assert (found.to_come, found.seen) == (1, 9)
