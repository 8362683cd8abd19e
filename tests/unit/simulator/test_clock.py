"""The tenant's clock obeys whoever tests against it."""

from datetime import UTC, datetime, timedelta

import pytest

from postroom.simulator.clock import SimulatedClock

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Source:
    now = START

    def __call__(self):
        return self.now


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def clock(source):
    return SimulatedClock(source)


def test_it_goes_with_its_source(clock, source):
    source.now += timedelta(minutes=5)
    assert clock() == START + timedelta(minutes=5)
    assert clock.ahead == 0


def test_it_can_be_put_forward_and_back(clock, source):
    clock.advance(3600)
    source.now += timedelta(seconds=1)
    assert clock() == START + timedelta(seconds=3601)
    clock.advance(-3600)
    assert clock() == source.now


def test_frozen_it_stands_still_but_can_be_advanced(clock, source):
    clock.freeze()
    source.now += timedelta(days=1)
    assert (clock.is_frozen, clock()) == (True, START)
    clock.advance(60)
    assert clock() == START + timedelta(minutes=1)


def test_resumed_it_goes_on_from_where_it_stood(clock, source):
    clock.freeze()
    source.now += timedelta(days=1)
    clock.resume()
    source.now += timedelta(seconds=2)
    assert (clock.is_frozen, clock()) == (False, START + timedelta(seconds=2))
    clock.resume()
    assert clock() == START + timedelta(seconds=2)


def test_reset_it_goes_with_its_source_again(clock, source):
    clock.advance(3600)
    clock.freeze(START.replace(year=2030))
    clock.reset()
    source.now += timedelta(seconds=2)
    assert (clock.is_frozen, clock.ahead, clock()) == (False, 0, source.now)


def test_it_can_be_frozen_at_a_time(clock):
    clock.freeze(START.replace(year=2030))
    assert clock().year == 2030


def test_a_time_without_a_zone_is_refused(clock):
    with pytest.raises(ValueError, match="zone"):
        clock.freeze(datetime(2026, 3, 2))  # noqa: DTZ001 - that is the point
    assert not clock.is_frozen


def test_it_stays_where_it_was_when_it_cannot_go_that_far(clock):
    with pytest.raises(OverflowError):
        clock.advance(1e12)
    assert clock() == START


def test_without_a_source_it_is_the_systems():
    assert abs(SimulatedClock()() - datetime.now(UTC)) < timedelta(minutes=1)
