"""What stands in the file about sending: answers, forwards and mails of a rule, and how much may be sent."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from postroom.config.fields import Duration, NonEmpty, Section, as_list, refuse, written
from postroom.config.problems import Id
from postroom.config.units import parse_duration
from postroom.outgoing import (
    LONGEST_SUBJECT,
    LONGEST_TEXT,
    MOST_RECIPIENTS,
    Rate,
    fault_of_template,
    is_address,
)

_RATE = re.compile(r"(\d{1,6})\s*/\s*(\d{1,6}(?:\.\d{1,3})?)?(s|m|h|d)", re.ASCII)
_RATE_PATTERN = r"^[0-9]{1,6} */ *([0-9]{1,6}(\.[0-9]{1,3})?)?(s|m|h|d)$"
_DAY = 86_400.0


def _recipient(text: str) -> str:
    if not is_address(text):
        refuse(Id.BAD_ADDRESS, "{value} is no mail address; write only the address, like accounting@contoso.example")
    return text


def _template(text: str) -> str:
    if fault := fault_of_template(text):
        refuse(Id.BAD_VALUE, fault.replace("{", "{{").replace("}", "}}"))
    return text


def _rate(value: Any) -> Any:
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        refuse(Id.BAD_VALUE, "{value} is no rate; write how many in how long, such as 4/h or 10/1d")
    seconds = parse_duration(f"{found[2] or 1}{found[3]}")
    if not 1 <= seconds <= _DAY:
        refuse(Id.OUT_OF_RANGE, "{value} counts over too short or too long a time; write one from 1s to 1d")
    return Rate(int(found[1]), seconds)


Recipients = Annotated[
    tuple[Annotated[str, AfterValidator(_recipient)], ...],
    Field(min_length=1, max_length=MOST_RECIPIENTS),
    BeforeValidator(
        as_list,
        json_schema_input_type=NonEmpty | Annotated[list[NonEmpty], Field(min_length=1, max_length=MOST_RECIPIENTS)],
    ),
]
"""One address or a list of them. Never taken from a mail: a stranger would decide whom we write to."""

Template = Annotated[NonEmpty, Field(max_length=LONGEST_TEXT), AfterValidator(_template)]
"""A text in which ``{subject}`` and the like stand for what the mail says."""

SubjectTemplate = Annotated[NonEmpty, Field(max_length=LONGEST_SUBJECT), AfterValidator(_template)]

RateText = Annotated[
    Rate, BeforeValidator(_rate), WithJsonSchema({"type": "string", "pattern": _RATE_PATTERN, "examples": ["4/h"]})
]
"""So many in so long, written ``4/h``."""


def _only_text(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


def _only_to(value: Any) -> Any:
    return {"to": value} if isinstance(value, str | list) else value


class ReplySection(Section):
    """An answer in plain text, to Reply-To or else to From. Never sent to machines, lists and other Postrooms."""

    text: Template
    """What it says; `{subject}`, `{sender}`, `{sender_address}`, `{received_at}` and `{mailbox}` are the mail's."""
    subject: SubjectTemplate | None = None
    """Its subject; left out, that of the mail with `RE:` before it."""
    to_all: bool = False
    """Answer everybody the mail went to, up to 50 of them."""


class ForwardSection(Section):
    """A forward of the mail, attachments included."""

    to: Recipients
    """Whom it goes to."""
    comment: Template | None = None
    """What stands above the mail."""


class SendSection(Section):
    """A new mail in plain text."""

    to: Recipients
    """Whom it goes to."""
    subject: SubjectTemplate
    """Its subject."""
    text: Template
    """What it says."""
    cc: Recipients | None = None
    """Who gets a copy."""


ReplySetting = Annotated[ReplySection, BeforeValidator(_only_text, json_schema_input_type=ReplySection | NonEmpty)]
"""An answer, or only its text."""

ForwardSetting = Annotated[
    ForwardSection, BeforeValidator(_only_to, json_schema_input_type=ForwardSection | NonEmpty | list[NonEmpty])
]
"""A forward, or only whom it goes to."""


class SendingSection(Section):
    """How much is sent at most, all rules and handlers together, so that no loop and no storm comes of it."""

    per_correspondent: RateText = written("4/h")
    """Answers to one address; the rest is not sent, and said so."""
    per_conversation: RateText = written("10/d")
    """Mails about one conversation; further answers are not sent, further forwards and mails are dead actions."""
    per_mailbox: RateText = written("300/h")
    """Mails of one mailbox; further answers are not sent, further forwards and mails wait."""
    patience: Duration = written("15m")
    """How long a mail that may be on its way is left alone before it is sent again; it is twice then if it was."""
