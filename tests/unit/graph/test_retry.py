from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom.errors import Conflict, Forbidden, Throttled, Unavailable
from postroom.graph.retry import backoff, retry_after, wait_before_retry
from postroom.ports import LONGEST_RETRY_AFTER
from support.dates import header_dates

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), (" 5 ", 5.0), ("0", 0.0), ("1.5", 1.5), ("-3", 0.0), ("nan", None), ("soon", None), ("", None)],
)
def test_seconds_are_read(value, seconds):
    assert retry_after({"retry-after": value}) == seconds


def test_without_a_header_there_is_no_wait():
    assert retry_after({}) is None


def test_a_date_is_measured_by_the_senders_clock_where_it_tells_it():
    later = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert retry_after({"retry-after": later, "date": format_datetime(NOW, usegmt=True)}) == 90
    assert retry_after({"retry-after": later}, NOW + timedelta(seconds=30)) == 60
    assert retry_after({"retry-after": later}, NOW + timedelta(seconds=300)) == 0


@given(st.text(max_size=40) | header_dates | st.floats().map(str) | st.integers().map(str))
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT")
def test_no_header_makes_for_an_endless_or_negative_wait(value):
    wait = retry_after({"retry-after": value}, NOW)
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER


def test_back_off_grows_has_jitter_and_ends():
    assert len({backoff(1) for _ in range(20)}) > 1
    assert all(backoff(1) <= 0.5 for _ in range(100))
    assert all(4 <= backoff(5) <= 8 for _ in range(100))
    assert all(backoff(50) <= 15 for _ in range(100))


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [
        (Unavailable("x", status=503), True, True),
        (Unavailable("x", status=503), False, False),
        (Unavailable("x", code="ConnectFailed"), False, True),
        (Unavailable("x", code="ConnectionLost"), False, False),
        (Unavailable("x", status=503, code="ErrorMailboxMoveInProgress"), True, False),
        (Unavailable("x", code="TlsFailed"), True, False),
        (Throttled("x", status=429), False, True),
        (Throttled("x", code="LocalBudget"), True, False),
        (Forbidden("x", status=403), True, False),
        (Conflict("x", status=409), True, False),
    ],
)
def test_what_is_tried_again(error, repeatable, again):
    wait = wait_before_retry(error, 1, repeatable=repeatable, tries=4, left=60)
    assert (wait is not None) is again


def test_trying_ends_with_the_tries_and_with_the_patience():
    error = Throttled("x", status=429, retry_after=61)
    assert wait_before_retry(error, 1, repeatable=True, tries=4, left=60) is None
    assert wait_before_retry(error, 1, repeatable=True, tries=4, left=61) == 61
    assert wait_before_retry(error, 4, repeatable=True, tries=4, left=61) is None
