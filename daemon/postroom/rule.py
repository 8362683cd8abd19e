"""Rules: what they ask of a mail and what they do with it. Frozen data; `pipeline.route` evaluates them."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Literal

import regex

from postroom.errors import RuleError
from postroom.model import MailAction

TextField = Literal["from", "to", "subject", "attachment", "importance", "category"]

MATCH_LIMIT = 0.1
"""Seconds a pattern may take: a stranger's subject must not hold up the daemon, however unwise the expression."""

LONGEST_TEXT = 2_000
"""Characters of a header or subject that a pattern sees: a stranger decides how long they are."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A glob such as ``*@supplier.example`` or a ``/regular expression/``; upper and lower case are one.

    A glob must cover the whole text; a regular expression may match anywhere in it.
    """

    source: str
    compiled: regex.Pattern[str]

    @classmethod
    def parse(cls, source: str) -> Pattern:
        """Compile `source`; raises re.error when it is a malformed regular expression.

        The dialect is that of Python's `re`; matching is done by `regex`, which knows a time limit.
        """
        if len(source) > 1 and source.startswith("/") and source.endswith("/"):
            re.compile(source[1:-1], re.IGNORECASE | re.DOTALL)
            return cls(source, regex.compile(source[1:-1], regex.IGNORECASE | regex.DOTALL))
        return cls(source, regex.compile(rf"\A{fnmatch.translate(source)}", regex.IGNORECASE))

    def matches(self, text: str) -> bool:
        """Say whether `text` fits; only its first `LONGEST_TEXT` characters are looked at.

        Raises RuleError when that takes longer than `MATCH_LIMIT`.
        """
        try:
            return self.compiled.search(text[:LONGEST_TEXT], timeout=MATCH_LIMIT) is not None
        except TimeoutError as error:
            raise RuleError(
                f"The pattern {self.source!r} took longer than {MATCH_LIMIT:g} s on a text of this mail.",
                remedy="Write it without nested repetition, such as (a+)+.",
            ) from error


@dataclass(frozen=True, slots=True)
class TextIs:
    """One of the field's texts fits one of the patterns. `to` means any recipient, `attachment` any file name."""

    field: TextField
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class HeaderIs:
    """The named internet header is there and one of its values fits one of the patterns."""

    name: str
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class HasAttachments:
    """The mail has file attachments, or has none; inline pictures do not count."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class SizeIs:
    """The mail's size in bytes is within the limits (inclusive; None means no limit)."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class AgeIs:
    """The seconds since the mail was received are within the limits (inclusive; None means no limit)."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds; holds when there is none."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


Condition = TextIs | HeaderIs | HasAttachments | SizeIs | AgeIs | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` (match) + `handle` (handler names) + `then` / `on_failure` (mail actions).

    Attributes:
        then: Carried out when every delivery of the rule's message is done.
        on_failure: Carried out when one of them is dead.
        stop: No later rule is looked at when this one matches.
    """

    name: str
    when: Condition
    handle: tuple[str, ...] = ()
    then: tuple[MailAction, ...] = ()
    on_failure: tuple[MailAction, ...] = ()
    stop: bool = False
