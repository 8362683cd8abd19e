"""Reads ``$search``: words and phrases, and the properties of KQL that mail clients use."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from postroom.simulator.graph.faults import bad_request
from postroom.simulator.state import Address, Envelope, Mail, Mailbox, StoredMessage, html

MOST_FOUND = 1000
"""Results of a search at most (LEARN search-query-parameter)."""
_LONGEST = 2000
_DEEPEST = 20
_DAY = 86_400

Passes = Callable[[Mailbox, StoredMessage], bool]

_ODATA = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>[\w*.@\'-]+)|(?P<bracket>[()]))')
_KQL = re.compile(
    r'\s*(?:(?P<bracket>[()])|(?P<name>[A-Za-z]+)(?P<op>:|>=|<=|<>|=|>|<)\s*(?P<value>"[^"]*"|[^\s()"]+)'
    r'|(?P<phrase>"[^"]*"?)|(?P<word>[^\s()"]+))'
)
_WORDS = re.compile(r"\w+\*?")
_WORD = re.compile(r"\w+")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq, "=": operator.eq, "<>": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt,
    "<=": operator.le,
}  # fmt: skip
_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%SZ")


def read_search(text: str, now: int) -> Passes:
    """Read a search; raises GraphFault 400. `now` is what days such as ``today`` are counted from."""
    tokens: list[tuple[str, str]] = []
    at = 0
    text = text[:_LONGEST]
    while text[at:].strip():
        match = _ODATA.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise bad_request(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text}'.")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    if not tokens:
        raise bad_request("The query option $search must not be empty.")
    return _Expression(tokens, lambda kind, token: _leaf(kind, token, now)).whole()


def _leaf(kind: str, token: str, now: int) -> Passes:
    """Return what a piece of the option means: a quoted one is KQL."""
    if kind != "quoted":
        return _anywhere(token)
    inner = re.sub(r"\\(.)", r"\1", token[1:-1])
    found = list(_KQL.finditer(inner))
    tokens = [("bracket" if one["bracket"] else "term", one[0].strip()) for one in found]
    terms = {one[0].strip(): one for one in found}
    return _Expression(tokens, lambda _, term: _term(terms[term], now)).whole()


class _Expression:
    """Leaves joined by AND, OR, NOT and brackets; what stands side by side is joined by AND."""

    def __init__(self, tokens: list[tuple[str, str]], leaf: Callable[[str, str], Passes]) -> None:
        self._tokens = [*tokens, ("", "")]
        self._leaf = leaf
        self._at = 0

    def whole(self) -> Passes:
        """Read all of it; a bracket too many is passed over."""
        terms: list[Passes] = []
        while self._tokens[self._at][0]:
            if self._tokens[self._at][1] == ")":
                self._at += 1
            else:
                terms.append(self._either(0))
        return lambda mailbox, one: all(term(mailbox, one) for term in terms)

    def _either(self, depth: int) -> Passes:
        if depth > _DEEPEST:
            raise bad_request("The search is nested too deeply.")
        terms = [self._both(depth)]
        while self._tokens[self._at][1].upper() == "OR":
            self._at += 1
            terms.append(self._both(depth))
        return lambda mailbox, one: any(term(mailbox, one) for term in terms)

    def _both(self, depth: int) -> Passes:
        terms: list[Passes] = []
        while (token := self._tokens[self._at])[0] and token[1] != ")" and token[1].upper() != "OR":
            terms.append(self._single(depth))
        return lambda mailbox, one: all(term(mailbox, one) for term in terms)

    def _single(self, depth: int) -> Passes:
        kind, text = self._tokens[self._at]
        self._at += 1
        if text.upper() == "AND":
            return lambda _mailbox, _one: True
        if text.upper() == "NOT" and self._tokens[self._at][0]:
            if depth > _DEEPEST:
                raise bad_request("The search is nested too deeply.")
            inner = self._single(depth + 1)
            return lambda mailbox, one: not inner(mailbox, one)
        if text == "(":
            group = self._either(depth + 1)
            self._at += self._tokens[self._at][1] == ")"
            return group
        return self._leaf(kind, text)


def _term(match: re.Match[str], now: int) -> Passes:
    """Return what a word, a phrase or a restriction of a property means."""
    if not match["name"]:
        return _anywhere(match[0])
    name, op, value = match["name"].lower(), match["op"], match["value"].strip('"')
    if name in _TEXTS:
        return _holding(_TEXTS[name], _needle(value))
    if name in _TIMES:
        return _moment(_TIMES[name], op, value.lower(), now)
    if name == "size":
        return _size(op, value)
    if name in _STATES:
        state = _STATES[name]
        return lambda _mailbox, one: str(state(one)).casefold() == value.casefold()
    return _anywhere(f"{match['name']} {match['value']}")


def _holding(read: Callable[[Mail], str], needle: str) -> Passes:
    return lambda mailbox, one: needle in _padded(read(mailbox.contents.mail(one)))


def _size(op: str, value: str) -> Passes:
    """Restrict the size in bytes: one number, or two joined by dots."""
    match = re.fullmatch(r"(\d{1,12})(?:\.\.(\d{1,12}))?", value, re.ASCII)
    if match is None:
        raise bad_request(f"The size '{value[:50]}' of the search is not valid.")
    low = int(match[1])
    if match[2]:
        return lambda _mailbox, one: low <= one.size <= int(match[2])
    return lambda _mailbox, one: _COMPARE[op](one.size, low)


def _anywhere(text: str) -> Passes:
    """Search where a search looks without a property: sender, subject and body."""
    needle = _needle(text)

    def passes(mailbox: Mailbox, one: StoredMessage) -> bool:
        facts = mailbox.lookup.facts(one)
        if needle in _padded(f"{facts.subject} \n {_people((facts.sent_from,))}"):
            return True
        return needle in _padded(_body(mailbox.contents.mail(one)))

    return passes


def _needle(text: str) -> str:
    """Return whole words in their order as they stand in padded text; a star leaves the last one open."""
    words = _WORDS.findall(text.casefold())
    if not words:
        return " "
    return " " + " ".join(word.rstrip("*") for word in words) + ("" if words[-1].endswith("*") else " ")


def _padded(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _people(people: tuple[Address, ...]) -> str:
    return " ; ".join(f"{one.name} {one.address}" for one in people)


def _body(mail: Mail) -> str:
    kind, content = mail.text()
    return html.to_text(content) if kind == "html" else content


def _from(mail: Mail) -> str:
    envelope = mail.envelope
    return _people(tuple(one for one in (envelope.sent_from, envelope.sender) if one))


_TEXTS: dict[str, Callable[[Mail], str]] = {
    "from": _from,
    "subject": lambda mail: mail.envelope.subject,
    "body": _body,
    "to": lambda mail: _people(mail.envelope.to),
    "cc": lambda mail: _people(mail.envelope.cc),
    "bcc": lambda mail: _people(mail.envelope.bcc),
    "recipients": lambda mail: _people(mail.envelope.recipients),
    "participants": lambda mail: f"{_from(mail)} ; {_people(mail.envelope.recipients)}",
    "attachment": lambda mail: _attachments(mail.envelope),
}


def _attachments(envelope: Envelope) -> str:
    return " ; ".join(part.name for part in envelope.attachments)


_STATES: dict[str, Callable[[StoredMessage], object]] = {
    "hasattachment": lambda one: one.has_attachments,
    "hasattachments": lambda one: one.has_attachments,
    "importance": lambda one: one.importance,
    "isread": lambda one: one.is_read,
    "isflagged": lambda one: one.flag["flagStatus"] == "flagged",
    "kind": lambda one: "meetings" if one.meeting else "email",
}


def _sent(mailbox: Mailbox, one: StoredMessage) -> int:
    sent = mailbox.lookup.facts(one).sent
    return one.received if sent is None else sent


_TIMES: dict[str, Callable[[Mailbox, StoredMessage], int]] = {
    "received": lambda _mailbox, one: one.received,
    "sent": _sent,
}


def _moment(read: Callable[[Mailbox, StoredMessage], int], op: str, value: str, now: int) -> Passes:
    """Restrict a time: a day is the whole of it, two joined by dots are all between."""
    days = [_day(one, now) for one in value.split("..")]
    first, last = days[0], days[-1]
    if op in (":", "="):
        return lambda mailbox, one: first[0] <= read(mailbox, one) < last[1]
    if op == "<>":
        return lambda mailbox, one: not first[0] <= read(mailbox, one) < last[1]
    bound = first[1] - 1 if op in (">", "<=") else first[0]
    return lambda mailbox, one: _COMPARE[op](read(mailbox, one), bound)


def _day(value: str, now: int) -> tuple[int, int]:
    """Return when a day begins and the next does; a time is a second."""
    midnight = now - now % _DAY
    named = {"today": midnight, "yesterday": midnight - _DAY}
    if value in named:
        return named[value], named[value] + _DAY
    for form in _DATES:
        try:
            moment = datetime.strptime(value.upper(), form).replace(tzinfo=UTC)
            start = int(moment.timestamp())
        except (ValueError, OverflowError):
            continue
        return start, start + (1 if "%H" in form else _DAY)
    raise bad_request(f"The date '{value[:50]}' of the search is not valid.")
