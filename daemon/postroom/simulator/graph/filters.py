"""Reads ``$filter``: comparisons of properties with literals, joined by and, or, not and parentheses."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from postroom.simulator.graph.faults import GraphFault

Predicate = Callable[[Callable[[str], Any]], bool]
"""Tells whether something passes, given a function from property name to value."""

_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<text>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\d(?:T[0-9:.]+(?:Z|[+-]\d\d:?\d\d)?)?)|(?P<number>-?\d+)|(?P<word>[A-Za-z@][\w./@-]*))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part.lower() in text.lower(),
    "startswith": lambda text, part: text.lower().startswith(part.lower()),
    "endswith": lambda text, part: text.lower().endswith(part.lower()),
}
_WORDS = {"true": True, "false": False, "null": None}
_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter ready for use, with the properties it names in their order."""

    passes: Predicate
    properties: tuple[str, ...]


def read_instant(text: str) -> int:
    """Read a date-time literal as seconds since 1970, UTC where it names no zone; raises ValueError."""
    value = datetime.fromisoformat(text)
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def invalid_filter(text: str) -> GraphFault:
    """Make the 400 for a filter that cannot be read."""
    return GraphFault(400, "ErrorInvalidUrlFilterClause", f"Invalid filter clause: {text[:200]}")


def read_filter(text: str, allowed: frozenset[str]) -> Filter:
    """Read a filter over the `allowed` properties; raises GraphFault 400."""
    parser = _Parser(text, allowed)
    predicate = parser.either(0)
    if parser.kind:
        raise invalid_filter(text)
    return Filter(predicate, tuple(parser.properties))


class _Parser:
    """Recursive descent over one filter; `kind` and `token` are the next token's, empty at the end."""

    def __init__(self, text: str, allowed: frozenset[str]) -> None:
        self._text = text
        self._allowed = allowed
        self._at = 0
        self.properties: list[str] = []
        self.kind = self.token = ""
        self._next()

    def either(self, depth: int) -> Predicate:
        """Read terms joined by ``or``."""
        terms = [self._both(depth)]
        while self._take_word("or"):
            terms.append(self._both(depth))
        return terms[0] if len(terms) == 1 else lambda value: any(term(value) for term in terms)

    def _both(self, depth: int) -> Predicate:
        factors = [self._single(depth)]
        while self._take_word("and"):
            factors.append(self._single(depth))
        return factors[0] if len(factors) == 1 else lambda value: all(factor(value) for factor in factors)

    def _single(self, depth: int) -> Predicate:
        if depth > _DEPTH:
            raise invalid_filter(self._text)
        if self._take_word("not"):
            inner = self._single(depth + 1)
            return lambda value: not inner(value)
        if self._take("open"):
            inner = self.either(depth + 1)
            self._expect("close")
            return inner
        if self.token.lower() in _FUNCTIONS and self.kind == "word":
            return self._function()
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._property()
        compare = _COMPARISONS.get(self._expect("word").lower())
        if compare is None:
            raise invalid_filter(self._text)
        literal = self._literal()

        def passes(value: Callable[[str], Any]) -> bool:
            found = value(name)
            if found is None or literal is None or type(found) is not type(literal):
                return compare in (operator.eq, operator.ne) and compare(found, literal)
            return compare(found, literal)

        return passes

    def _function(self) -> Predicate:
        function = _FUNCTIONS[self._expect("word").lower()]
        self._expect("open")
        name = self._property()
        self._expect("comma")
        literal = str(self._literal())
        self._expect("close")
        return lambda value: function(str(value(name) or ""), literal)

    def _property(self) -> str:
        name = self._expect("word")
        known = next((one for one in self._allowed if one.lower() == name.lower()), None)
        if known is None:
            raise GraphFault(400, "BadRequest", f"Could not find a property named '{name[:100]}' that can be filtered.")
        self.properties.append(known)
        return known

    def _literal(self) -> str | int | bool | None:
        kind, token = self.kind, self.token
        self._next()
        if kind == "text":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return int(token)
        if kind == "date":
            return self._instant(token)
        if kind == "word" and token.lower() in _WORDS:
            return _WORDS[token.lower()]
        raise invalid_filter(self._text)

    def _instant(self, token: str) -> int:
        try:
            return read_instant(token)
        except (ValueError, OverflowError):
            raise invalid_filter(self._text) from None

    def _take_word(self, word: str) -> bool:
        return self.kind == "word" and self.token.lower() == word and self._take("word")

    def _take(self, kind: str) -> bool:
        if self.kind != kind:
            return False
        self._next()
        return True

    def _expect(self, kind: str) -> str:
        token = self.token
        if not self._take(kind):
            raise invalid_filter(self._text)
        return token

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None and self._text[self._at :].strip():
            raise invalid_filter(self._text)
        self.kind, self.token = (match.lastgroup or "", match[match.lastgroup or 0]) if match else ("", "")
        self._at = match.end() if match else len(self._text)
