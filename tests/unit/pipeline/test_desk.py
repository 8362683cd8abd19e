"""How many deliveries may run, and whose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postroom.pipeline.desk import share
from support.pipeline import desk, opened

frees = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 50), max_size=6)


@given(frees, st.integers(-5, 100), st.integers(0, 1000))
def test_no_more_places_are_shared_out_than_there_are(free, left, turn):
    shared = share(free, left, turn)

    assert sum(shared.values()) <= max(left, 0)
    assert all(0 < count <= free[name] for name, count in shared.items())


@given(frees, st.integers(0, 100), st.integers(0, 1000))
def test_no_place_is_left_empty_that_somebody_could_take(free, left, turn):
    assert sum(share(free, left, turn).values()) == min(left, sum(free.values()))


@given(frees, st.integers(1, 100), st.integers(0, 1000))
def test_in_as_many_turns_as_there_are_handlers_each_is_offered_a_place(free, left, turn):
    offered = set().union(*(share(free, left, turn + each) for each in range(len(free))))

    assert offered == set(free)


def test_scarce_places_are_shared_evenly():
    assert share({"a": 50, "b": 50, "c": 2}, 20, 0) == {"a": 12, "b": 6, "c": 2}


def test_a_handler_that_is_full_takes_no_more():
    full = desk(opened("a", concurrency=2), opened("b", concurrency=5))

    assert full.free({"a": 2, "b": 1}) == {"b": 4}


def test_what_was_given_up_but_runs_on_keeps_its_place():
    stuck = opened("a", concurrency=2)
    full = desk(stuck, opened("b", concurrency=5), concurrency=5)
    stuck.strand(7, 1)

    assert full.free({"a": 1}) == {"b": 5}
    assert full.left({"a": 1}) == 3

    stuck.strand(7, -1)
    assert full.free({"a": 1}) == {"a": 1, "b": 5}


def test_a_handler_whose_places_are_all_taken_by_what_cannot_be_stopped_is_choked():
    stuck = opened("a", concurrency=2)
    full = desk(stuck, opened("b"))
    stuck.strand(7, 1)
    assert not full.choked()
    stuck.strand(8, 1)
    assert full.choked() == {"a"}


def test_deliveries_of_a_replaced_desk_count_against_the_limit():
    assert desk(opened("new"), concurrency=3).left({"old": 2}) == 1


def test_a_desk_is_idle_when_nobody_works_on_it():
    one = desk()
    one.begin()
    one.begin()
    one.end()

    assert not one.idle.is_set()

    one.end()
    assert one.idle.is_set()
