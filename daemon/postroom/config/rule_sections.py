"""The rules as they stand in the file: `when`, `handle`, `then`, `on_failure`, `stop`."""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from postroom.config.fields import Duration, Names, NonEmpty, Patterns, Section, Size, as_list, refuse
from postroom.config.places import Folder
from postroom.config.problems import Id
from postroom.config.sending_sections import ForwardSetting, ReplySetting, SendSection
from postroom.config.units import parse_size

_COMPARISON = re.compile(r"(<=?|>=?)\s*(\S.*)")


def _size_comparison(value: Any) -> Any:
    """Turn ``">10MB"`` into limits, which are inclusive: one byte more."""
    limits = _comparison(value)
    if isinstance(value, str) and "=" not in value:
        step = 1 if "least" in limits else -1
        with contextlib.suppress(ValueError):  # Size itself reports what is no size
            limits = {key: f"{max(parse_size(text) + step, 0)}B" for key, text in limits.items()}
    return limits


def _comparison(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    found = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        refuse(Id.BAD_VALUE, '{value} is no limit; write a comparison such as ">10MB" or "<2d", or least: and most:')
    return {"least" if found[1][0] == ">" else "most": found[2]}


class _Range(Section):
    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        least, most = getattr(self, "least", None), getattr(self, "most", None)
        if least is None and most is None:
            refuse(Id.EMPTY_RANGE, "there is no limit here; give least, most or both")
        if least is not None and most is not None and least > most:
            refuse(Id.EMPTY_RANGE, "least is above most, so that no mail can fit; exchange the two")
        return self


class SizeRange(_Range):
    """Limits of a mail's size, both inclusive."""

    least: Size | None = None
    """The smallest size that fits, such as `20kB`."""
    most: Size | None = None
    """The largest size that fits, such as `10MB`."""


class AgeRange(_Range):
    """Limits of the time since a mail was received, both inclusive."""

    least: Duration | None = None
    """The youngest age that fits, such as `1h`."""
    most: Duration | None = None
    """The oldest age that fits, such as `2d`."""


_Comparison = Annotated[str, Field(pattern="^[<>]=?")]
_Importance = Literal["low", "normal", "high"]


_Flag = Literal["flagged", "complete", "notFlagged"]


def _true_is_flagged(value: Any) -> Any:
    if value in ("yes", "on"):
        refuse(Id.NOT_A_CHOICE, "{value} is text here; write true, flagged, complete or notFlagged")
    return "flagged" if value is True else value


class WhenSection(Section):
    """What a rule asks of a mail: all that is written must hold; written nothing, every mail fits.

    A text is a glob (`*@supplier.example`), which must cover the whole text, or a `/regular expression/`, which may
    match anywhere; upper and lower case are one. A list fits when one of its patterns does.
    """

    from_: Annotated[Patterns | None, Field(alias="from")] = None
    """The address in From; the name beside it is the sender's own choice."""
    to: Patterns | None = None
    """The address of any recipient, To or Cc."""
    subject: Patterns | None = None
    """The subject."""
    has_attachments: bool | None = None
    """Whether the mail has files attached; inline pictures do not count."""
    attachment: Patterns | None = None
    """The name of any attached file; costs a request for each mail."""
    importance: Annotated[
        tuple[_Importance, ...] | None,
        BeforeValidator(as_list, json_schema_input_type=_Importance | list[_Importance]),
    ] = None
    """The importance the sender gave it."""
    category: Patterns | None = None
    """Any of the mail's categories."""
    header: Annotated[dict[str, Patterns] | None, Field(min_length=1)] = None
    """Internet headers by name, all of which must fit; costs a request for each mail."""
    size: Annotated[
        SizeRange | None, BeforeValidator(_size_comparison, json_schema_input_type=SizeRange | _Comparison)
    ] = None
    """The size of the mail, as limits or as a comparison such as `">10MB"`; costs a request for each mail."""
    age: Annotated[AgeRange | None, BeforeValidator(_comparison, json_schema_input_type=AgeRange | _Comparison)] = None
    """The time since the mail was received, as limits or as a comparison such as `"<2d"`."""
    any_: Annotated[tuple[WhenSection, ...] | None, Field(alias="any", min_length=1)] = None
    """At least one of these holds."""
    all_: Annotated[tuple[WhenSection, ...] | None, Field(alias="all", min_length=1)] = None
    """All of these hold."""
    not_: Annotated[WhenSection | None, Field(alias="not")] = None
    """This does not hold."""


class ActionsSection(Section):
    """Mail actions: first what is sent, then marks, categories and the flag, then the mail is moved or deleted."""

    reply: ReplySetting | None = None
    """Answer the mail; only the text, or a mapping."""
    forward: ForwardSetting | None = None
    """Forward the mail; only the address, or a mapping."""
    send: SendSection | None = None
    """Send a new mail."""

    mark_read: bool | None = None
    """Mark the mail as read, or with `false` as unread."""
    categories: Names = ()
    """Categories to add; those the mail has stay."""
    flag: Annotated[_Flag | None, BeforeValidator(_true_is_flagged, json_schema_input_type=Literal[True] | _Flag)] = (
        None
    )
    """Flag the mail; `true` is `flagged`."""
    move_to: Folder | None = None
    """Move the mail to this folder, which is made where it is missing."""
    delete: bool = False
    """Delete the mail; last, when no handler and no other mail action needs it any more."""


class RuleSection(Section):
    """What to do with which mails."""

    name: NonEmpty | None = None
    """How it is called everywhere; unique in its mailbox. Left out: `unnamed-` and a digest of what the rule says."""
    when: WhenSection = WhenSection()
    """What the rule asks of a mail; left out, it takes every mail."""
    handle: Names = ()
    """Handlers that get the mail: names from `handlers`, or of installed handlers that need no options."""
    then: ActionsSection = ActionsSection()
    """Mail actions once every handler of the rule is done, or at once when it names none."""
    on_failure: ActionsSection = ActionsSection()
    """Mail actions once a handler of the rule has given up."""
    stop: bool = False
    """Look at no later rule when this one takes the mail."""
