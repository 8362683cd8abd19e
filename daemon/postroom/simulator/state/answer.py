"""Writes the answer to a mail: whom it goes to, what it is called, what it quotes, what it belongs to."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from postroom.simulator.state import html as markup
from postroom.simulator.state.compose import Draft, Enclosure
from postroom.simulator.state.content import Mail, Text
from postroom.simulator.state.headers import first
from postroom.simulator.state.message import Address

Kind = Literal["reply", "replyAll", "forward"]

_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_IDS = re.compile(r"<[^<>\s]{1,500}>")
_MOST_REFERENCES = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to be written.

    Attributes:
        mail: What is answered.
        own: Whose mailbox it is.
        received: When it came, in seconds since 1970.
        comment: Text to stand above the quotation.
    """

    kind: Kind
    mail: Mail
    own: Address
    received: int
    comment: str = ""


def answer_draft(answer: Answer, message_id: str, now: int) -> Draft:
    """Return the draft of an answer; replies take inline pictures along, forwards every attachment."""
    to, cc = _people(answer)
    return Draft(
        message_id=message_id,
        sent=now,
        sent_from=answer.own,
        sender=answer.own,
        subject=_subject(answer),
        body=Text("html", _quoting(answer)),
        to=to,
        cc=cc,
        headers=thread_headers(answer.mail),
        enclosures=tuple(_enclosures(answer)),
    )


def thread_headers(mail: Mail) -> tuple[tuple[str, str], ...]:
    """Return the fields by which an answer belongs to the conversation of a mail (RFC 5322, 3.6.4)."""
    fields = mail.headers()
    earlier = _IDS.findall(first(fields, "references")) or _IDS.findall(first(fields, "in-reply-to"))
    own = _IDS.findall(mail.envelope.message_id)[:1]
    if not own:
        return ()
    chain = [one for one in earlier if one != own[0]]
    if len(chain) > _MOST_REFERENCES:
        chain = [chain[0], *chain[1 - _MOST_REFERENCES :]]
    return (("In-Reply-To", own[0]), ("References", " ".join([*chain, own[0]])))


def _people(answer: Answer) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
    """Return To and Cc; replies go to Reply-To where the mail names one (message-reply.md)."""
    envelope = answer.mail.envelope
    if answer.kind == "forward":
        return (), ()
    to = _once(envelope.reply_to or ((envelope.sent_from,) if envelope.sent_from else ()), ())
    if answer.kind == "reply":
        return to, ()
    own = Address("", answer.own.address)
    to += _once(envelope.to, (own, *to))
    return to, _once(envelope.cc, (own, *to))


def _once(people: Iterable[Address], known: Iterable[Address]) -> tuple[Address, ...]:
    seen = {one.address.lower() for one in known}
    found: list[Address] = []
    for one in people:
        if one.address and one.address.lower() not in seen:
            seen.add(one.address.lower())
            found.append(one)
    return tuple(found)


def _subject(answer: Answer) -> str:
    prefix = "FW: " if answer.kind == "forward" else "RE: "
    subject = answer.mail.envelope.subject
    return subject if subject.lower().startswith(prefix.lower()) else prefix + subject


def _quoting(answer: Answer) -> str:
    """Return the body: the comment, a rule, the head of the mail answered, and its text."""
    kind, content = answer.mail.text()
    source = content if kind == "html" else markup.from_text(content)
    comment = "<br>\r\n".join(html.escape(line, quote=False) for line in answer.comment.splitlines())
    above = (
        f'{comment}\r\n<hr tabindex="-1" style="display:inline-block; width:98%">\r\n'
        f'<div id="divRplyFwdMsg" dir="ltr">{_head(answer)}<div>&nbsp;</div></div>\r\n'
    )
    body = _BODY.search(source)
    if body is None:
        return f"<html><head></head><body>{above}{source}</body></html>"
    return source[: body.end()] + above + source[body.end() :]


def _head(answer: Answer) -> str:
    envelope = answer.mail.envelope
    moment = datetime.fromtimestamp(envelope.sent or answer.received, UTC)
    lines = {
        "From": _names((envelope.sent_from,) if envelope.sent_from else ()),
        "Sent": f"{moment:%A, %B} {moment.day}, {moment:%Y %H:%M}",
        "To": _names(envelope.to),
        "Cc": _names(envelope.cc),
        "Subject": html.escape(envelope.subject, quote=False),
    }
    return "<br>\r\n".join(f"<b>{name}:</b> {value}" for name, value in lines.items() if value)


def _names(people: tuple[Address, ...]) -> str:
    shown = (f"{one.name} <{one.address}>" if one.name else one.address for one in people)
    return html.escape("; ".join(shown), quote=False)


def _enclosures(answer: Answer) -> Iterable[Enclosure]:
    mail = answer.mail
    for part in mail.envelope.attachments:
        if answer.kind == "forward" or part.inline:
            data = b"" if part.kind == "reference" else mail.part(part)
            yield Enclosure(part.name, part.content_type, data, part.kind, part.content_id, part.inline, part.url)
