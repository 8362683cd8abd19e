"""What is said of handlers whose places are taken for good, over reloads."""

from __future__ import annotations

import pytest

from postroom.pipeline.stuck import StuckWatch
from support.pipeline import desk, opened


@pytest.fixture
def watch(notes):
    return StuckWatch(notes)


def told(notes):
    return [(subject, str(error)) for subject, error in notes.problems]


def test_a_handler_without_a_free_place_is_a_problem_said_once_until_one_is_free(watch, notes):
    handler = opened("erp", concurrency=1)
    handler.strand(7, 1)
    for _ in range(2):
        watch.look(desk(handler))
    assert [subject for subject, _ in told(notes)] == ["places erp"]

    handler.strand(7, -1)
    watch.look(desk(handler))
    assert notes.well == ["places erp"]


def test_attempts_that_hang_over_a_reload_stay_a_problem_until_the_last_of_them_ends(watch, notes):
    before = opened("erp", concurrency=2)
    for delivery in (7, 8):
        before.strand(delivery, 1)
    watch.look(desk(before))
    for _ in range(2):
        watch.look(desk(opened("erp", concurrency=2)))
    assert "places erp" not in notes.well
    (_, first), (_, second) = told(notes)
    assert "so it handles nothing" in first
    assert "from before a reload" in second

    before.strand(7, -1)
    watch.look(desk(opened("erp")))
    assert "places erp" not in notes.well
    before.strand(8, -1)
    watch.look(desk(opened("erp")))
    assert notes.well == ["places erp"]


def test_attempts_of_a_handler_that_a_reload_removed_stay_a_problem_too(watch, notes):
    before = opened("erp", concurrency=1)
    before.strand(7, 1)
    watch.look(desk(before))
    watch.look(desk(opened("other")))
    assert notes.well == []


def test_a_handler_that_fills_up_again_after_a_reload_says_that_it_handles_nothing(watch, notes):
    for delivery in (7, 8):
        handler = opened("erp", concurrency=1)
        handler.strand(delivery, 1)
        watch.look(desk(handler))
    assert "so it handles nothing" in told(notes)[-1][1]
