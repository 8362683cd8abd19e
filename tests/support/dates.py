"""Dates as they stand in a header, with numbers that are right and some that no calendar and no machine has."""

from __future__ import annotations

from hypothesis import strategies as st

_numbers = st.sampled_from(["01", "-1", "99", "2026", "9" * 20])

header_dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "x"]),
    _numbers,
    st.sampled_from(["Jan", "01"]),
    *[_numbers] * 4,
    st.sampled_from(["GMT", "+0100", "-" + "9" * 20]),
)
