"""Durations such as ``30s`` and sizes such as ``10MB``."""

from __future__ import annotations

import re

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
LONGEST_DURATION = 3650 * SECONDS["d"]
LARGEST_SIZE = 10**15

DURATION_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,6})?(B|[kKMG]B|[KMG]iB)$"
_NUMBER = re.compile(r"[0-9.]+")


def parse_duration(text: str) -> float:
    """Return the seconds of ``250ms``, ``30s``, ``5m``, ``6h`` or ``2d``; ValueError otherwise or above ten years."""
    seconds = _parse(text, DURATION_PATTERN, SECONDS)
    if seconds > LONGEST_DURATION:
        raise ValueError(f"longer than ten years: {text!r}")
    return seconds


def parse_size(text: str) -> int:
    """Return the bytes of ``10MB``, ``512KiB``, ``1.5GB`` or ``100B``; ValueError otherwise or above a petabyte."""
    size = round(_parse(text, SIZE_PATTERN, BYTES))
    if size > LARGEST_SIZE:
        raise ValueError(f"larger than a petabyte: {text!r}")
    return size


def _parse(text: str, pattern: str, units: dict[str, float] | dict[str, int]) -> float:
    if not re.fullmatch(pattern[1:-1], text, re.ASCII):
        raise ValueError(f"no number with a unit of {', '.join(units)}: {text!r}")
    number = _NUMBER.match(text)
    assert number is not None, "the pattern begins with a number"
    value, unit = number[0], units[text[number.end() :]]
    return float(value) * unit if "." in value else int(value) * unit


def format_duration(seconds: float) -> str:
    """Return the shortest exact text for a whole number of milliseconds: 90.0 is ``90s``, 120.0 is ``2m``."""
    milliseconds = round(seconds * 1000)
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"
