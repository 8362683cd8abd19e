"""The types of single settings: how each is read from YAML, and how the schema describes it to an editor.

A type reports what is wrong by a `PydanticCustomError` whose type is a problem id. In its text, ``{value}`` stands for
the value as it may be shown: validators never put a value into a text themselves, for it may be a secret.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from postroom.config.problems import Id
from postroom.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size
from postroom.docstrings import Described
from postroom.rule import Pattern


class Section(Described):
    """Base of every section: frozen, unknown keys are errors, a key with nothing behind it counts as left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def written(default: str) -> Any:
    """Give a field a default as a user would write it, for the schema to show."""
    return Field(default=default, validate_default=True)


def refuse(id_: Id, text: str) -> NoReturn:
    """Report a problem from within a validator."""
    raise PydanticCustomError(id_.value, text)


def _unit(parse: Callable[[str], Any], id_: Id, what: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            refuse(Id.WRONG_KIND, f"must be {what}")
        try:
            return parse(str(value))
        except ValueError:
            refuse(id_, f"{{value}} is not {what}")

    return BeforeValidator(read)


Duration = Annotated[
    float,
    _unit(parse_duration, Id.BAD_DURATION, "a duration; write a number and a unit, such as 250ms, 30s, 5m, 6h or 2d"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "5m", "6h", "2d"]}),
]
"""Seconds, written ``30s``."""

LongDuration = Annotated[Duration, Field(gt=0)]
"""Seconds, written ``30s``, and not none at all."""

FOR_EVER = "forever"


def _period(text: str) -> float | None:
    return None if text == FOR_EVER else parse_duration(text)


Period = Annotated[
    float | None,
    _unit(_period, Id.BAD_DURATION, "a duration such as 30d or 1h, or `forever`"),
    WithJsonSchema({"type": "string", "pattern": rf"{DURATION_PATTERN}|^{FOR_EVER}$", "examples": ["30d", FOR_EVER]}),
]
"""Seconds, written ``30d``; None is for ever."""

Size = Annotated[
    int,
    _unit(parse_size, Id.BAD_SIZE, "a size; write a number and a unit, such as 500B, 20kB, 10MB or 512KiB"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["20kB", "10MB", "512KiB"]}),
]
"""Bytes, written ``10MB``."""


def as_list(value: Any) -> Any:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list) else [value]


def _pattern(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Pattern.parse(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        refuse(
            Id.BAD_PATTERN, f"{{value}} is not a regular expression: {_plainly(error)}; correct it, or escape with \\"
        )
    return text


def _plainly(error: Exception) -> str:
    return str(error).replace("{", "{{").replace("}", "}}") if isinstance(error, re.error) else type(error).__name__


NonEmpty = Annotated[str, Field(min_length=1)]
PatternText = Annotated[NonEmpty, AfterValidator(_pattern)]

Patterns = Annotated[
    tuple[PatternText, ...],
    Field(min_length=1),
    BeforeValidator(as_list, json_schema_input_type=NonEmpty | Annotated[list[NonEmpty], Field(min_length=1)]),
]
"""Globs such as ``*@supplier.example`` or ``/regular expressions/``; one, or a list of which any fits."""

Names = Annotated[
    tuple[NonEmpty, ...],
    BeforeValidator(as_list, json_schema_input_type=NonEmpty | list[NonEmpty]),
]
"""One name or a list of them."""
