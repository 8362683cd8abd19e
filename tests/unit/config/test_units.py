from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.config.units import (
    BYTES,
    DURATION_PATTERN,
    LARGEST_SIZE,
    LONGEST_DURATION,
    SIZE_PATTERN,
    format_duration,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30.0), ("5m", 300.0), ("6h", 21_600.0), ("2d", 172_800.0), ("1.5h", 5400.0)],
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500B", 500),
        ("20kB", 20_000),
        ("20KB", 20_000),
        ("10MB", 10_000_000),
        ("512KiB", 524_288),
        ("1.5GB", 1_500_000_000),
    ],
)
def test_a_size_is_a_number_and_a_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-30s", "3e2s", "30S", "1h30m", "٣s", "30s\n", "99999d"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "10", "MB", "10 MB", "-1MB", "10mb", "1TB", "10MB\n", "9999999GB"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_size(text)


@given(st.integers(0, round(LONGEST_DURATION * 1000)))
def test_a_duration_written_and_read_is_the_same(milliseconds):
    text = format_duration(milliseconds / 1000)
    assert re.fullmatch(DURATION_PATTERN, text)
    assert round(parse_duration(text) * 1000) == milliseconds


@given(st.integers(0, 999_999), st.sampled_from(sorted(BYTES)))
def test_a_size_written_and_read_is_the_same(number, unit):
    text = f"{number}{unit}"
    assert re.fullmatch(SIZE_PATTERN, text)
    if number * BYTES[unit] <= LARGEST_SIZE:
        assert parse_size(text) == number * BYTES[unit]


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text):
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue
