"""The types of single settings: how each is read from YAML, and how the schema describes it to an editor.

A type reports what is wrong by a `PydanticCustomError` whose type is a problem id. In its text, ``{value}`` stands for
the value as it may be shown: validators never put a value into a text themselves, for it may be a secret.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from postroom.config.problems import Id
from postroom.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size
from postroom.rule import Pattern

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Section(BaseModel):
    """Base of every section: frozen, unknown keys are errors, a key with nothing behind it counts as left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

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
    BeforeValidator(as_list, json_schema_input_type=NonEmpty | Annotated[list[NonEmpty], Field(min_length=1)]),
    Field(min_length=1),
]
"""Globs such as ``*@supplier.example`` or ``/regular expressions/``; one, or a list of which any fits."""

Names = Annotated[
    tuple[NonEmpty, ...],
    BeforeValidator(as_list, json_schema_input_type=NonEmpty | list[NonEmpty]),
]
"""One name or a list of them."""

_ADDRESS = re.compile(r"[^@\s/?#%]{1,64}@[^@\s/?#%]{1,255}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        refuse(
            Id.BAD_ADDRESS,
            "{value} is neither a mail address nor an object id; write only the address, like invoices@contoso.example",
        )
    return text


MailboxAddress = Annotated[str, AfterValidator(_address)]
"""An SMTP address, or the object id of the user."""


def _folder(text: str) -> str:
    if not text or any(not part.strip() for part in text.split("/")):
        refuse(Id.BAD_FOLDER, "{value} has an empty part; write a name such as Inbox, or a path such as Inbox/Invoices")
    return text


Folder = Annotated[str, AfterValidator(_folder)]
"""A well-known folder name, or a path such as ``Inbox/Done``."""


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        refuse(Id.BAD_URL, "{value} is not a web address; write it like https://graph.microsoft.com")
    if parts.username is not None or parts.query or parts.fragment:
        refuse(Id.BAD_URL, "a base URL is only scheme, host and port; write it like https://graph.microsoft.com")
    if parts.scheme == "http" and host not in LOOPBACK:
        refuse(Id.BAD_URL, "{value} would send tokens in the clear; write https:// (http:// is for this machine only)")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""``https://host``, or ``http://`` on this machine."""


def _start(value: Any) -> Any:
    if value in ("now", "all"):
        return value
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
        if when is not None:
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    return refuse(Id.BAD_START, "{value} is no starting point; write now, all, or a date such as 2026-01-31")


Start = Annotated[
    Literal["now", "all"] | datetime,
    BeforeValidator(_start),
    WithJsonSchema({"anyOf": [{"enum": ["now", "all"]}, {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}"}]}),
]
"""``now``, ``all`` or a date, taken as UTC unless it says otherwise."""
