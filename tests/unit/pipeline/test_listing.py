"""Where a listing goes on, whatever moves in and out of the folder meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from postroom.pipeline.listing import OVERLAP, Position, following, read, resting, resumable
from postroom.ports import EARLIEST
from postroom.testing.clock import START
from support.pipeline import mail_at, page

NOW = START + timedelta(days=1)
times = st.none() | st.datetimes(timezones=st.just(START.tzinfo))
links = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(times, links)
def test_a_position_can_be_stored_and_read_again(since, link):
    position = Position(since, link)

    assert read(str(position), None) == position


def test_the_beginning_is_the_floor():
    assert read(None, START) == Position(START)
    assert read(None, None) == Position(None)


def test_it_goes_on_by_time_and_not_by_graphs_link_which_counts():
    assert following(Position(START), page(mail_at(1), mail_at(2), next_link="50"), NOW) == Position(
        START + timedelta(minutes=2)
    )


def test_within_one_moment_graphs_link_is_followed():
    at = Position(START + timedelta(minutes=2))

    assert following(at, page(mail_at(2), mail_at(2), next_link="50"), NOW) == Position(at.since, "50")
    assert following(Position(None), page(next_link="50"), NOW) == Position(None, "50")


def test_of_mail_from_before_all_time_that_is_told_none_is_passed_over():
    old = page(mail_at((EARLIEST - START) / timedelta(minutes=1)), next_link="50")

    assert following(Position(None), old, NOW) == Position(None, "50")


def test_the_first_day_of_the_calendar_may_be_where_a_listing_begins():
    start = Position(datetime.min.replace(tzinfo=UTC))

    assert resting(start, start, page(), NOW) == str(Position(EARLIEST - OVERLAP))


def test_a_page_without_a_link_is_the_last():
    assert following(Position(START), page(mail_at(1)), NOW) is None


def test_graphs_link_is_never_stored():
    assert resumable(Position(START, "50")) == f"since:{START.isoformat()}"
    assert resumable(Position(None, "50")) is None


def test_the_next_round_reaches_back_for_mail_that_shows_up_late():
    start = Position(START)

    assert resting(start, start, page(mail_at(60)), NOW) == str(Position(START + timedelta(minutes=60) - OVERLAP))


def test_rounds_that_find_nothing_do_not_creep_backwards():
    start = Position(START)

    assert resting(start, start, page(), NOW) == str(start)
    assert resting(start, start, page(mail_at(1)), NOW) == str(start)
    assert resting(Position(None), Position(None), page(), NOW) is None


def test_mail_dated_in_the_future_does_not_hide_what_comes_before_that_day():
    start = Position(START)
    imported = page(mail_at(60 * 24 * 365 * 50))

    assert resting(start, start, imported, NOW) == str(Position(NOW - OVERLAP))


def test_mail_dated_in_the_future_is_walked_through_by_link():
    future = page(mail_at(60 * 24 * 365), next_link="50")

    assert following(Position(START), future, NOW) == Position(NOW)
    assert following(Position(NOW), future, NOW) == Position(NOW, "50")
