"""An option that is a span of time: a number of seconds, or such as ``30s``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h|d)$"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> object:
    """Turn ``250ms``, ``30s``, ``5m``, ``6h`` or ``2d`` into seconds; leave all else to the validation of numbers."""
    if isinstance(value, str) and re.fullmatch(PATTERN, value):
        number = value.rstrip("mshd")
        return float(number) * _UNITS[value.removeprefix(number)]
    return value


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": PATTERN}]}),
]
