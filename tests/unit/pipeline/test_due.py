"""When a folder is walked next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.pipeline.due import LONGEST_BACK_OFF, after_failure, next_due
from postroom.ports import LONGEST_RETRY_AFTER

intervals = st.floats(1, 86_400)


@given(st.text(max_size=30), intervals, st.floats(0, 1e8))
def test_the_next_round_is_due_within_one_interval(subject, interval, now):
    due = next_due(subject, interval, now)

    assert now - 1e-6 < due <= now + interval * (1 + 1e-6)


@given(st.text(max_size=30), st.integers(1, 3600), st.floats(0, 1e6))
def test_a_folder_keeps_to_its_own_grid(subject, interval, now):
    first = next_due(subject, interval, now)
    second = next_due(subject, interval, first + interval / 2)

    assert second - first == pytest.approx(interval)


def test_folders_are_spread_over_the_interval():
    dues = [next_due(f"mailbox {number}@b/Inbox", 60.0, 0.0) for number in range(600)]

    for third in range(3):
        assert 100 < sum(third * 20 <= due < (third + 1) * 20 for due in dues) < 300


@given(intervals, st.integers(1, 10_000), st.none() | st.floats(0, 1e9))
def test_a_failing_folder_is_tried_again_within_bounds(interval, failures, retry_after):
    wait = after_failure(interval, failures, retry_after)

    assert min(interval, LONGEST_BACK_OFF) <= wait <= max(LONGEST_BACK_OFF, interval, LONGEST_RETRY_AFTER)


def test_waits_double_and_retry_after_is_honoured():
    assert [after_failure(30.0, failures, None) for failures in (1, 2, 3, 9)] == [30.0, 60.0, 120.0, 600.0]
    assert after_failure(30.0, 1, 300.0) == 300.0
    assert after_failure(3600.0, 9, None) == 3600.0
