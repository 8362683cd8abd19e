"""What the journal does not take: who is told, and what is held back meanwhile."""

from __future__ import annotations

import pytest

from postroom.errors import JournalError, JournalGone
from postroom.model import Delivery
from postroom.pipeline.unstored import MOST_NAMED, OUTCOMES, RESULTS, Unstored, left_behind
from postroom.testing import make_message


def failed(unstored, subject, error):
    with pytest.raises(type(error)), unstored.storing(subject):
        raise error


def test_what_cannot_be_stored_holds_back_all_others_until_it_can():
    unstored = Unstored()
    unstored.check()
    failed(unstored, OUTCOMES, JournalError("The disk is full."))
    assert OUTCOMES in unstored
    assert unstored.besides(RESULTS)
    assert not unstored.besides(OUTCOMES)
    with pytest.raises(JournalError):
        unstored.check()
    with unstored.storing(OUTCOMES):
        pass
    unstored.check()


def test_of_a_journal_that_is_gone_nothing_else_is_said():
    unstored, gone = Unstored(), JournalGone("It was removed.")
    failed(unstored, OUTCOMES, gone)
    with pytest.raises(JournalGone):
        unstored.check()


def test_what_is_left_behind_is_counted_and_named_and_not_without_end():
    assert left_behind([], []) is None
    deliveries = [Delivery(key, key, make_message(), "erp", "all", 1) for key in range(1, 50)]
    left = left_behind(deliveries, [])
    assert left is not None
    assert left.exit_code == 74
    assert left.fields["deliveries"] == 49
    assert len(left.fields["of"]) == MOST_NAMED
    assert left.fields["of"][0].endswith("message 1: erp")
