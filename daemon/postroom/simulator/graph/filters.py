"""Reads ``$filter``: comparisons of properties with literals, joined by and, or, not and parentheses."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from postroom.simulator.graph.faults import GraphFault

Value = Callable[[str], Any]
"""Returns a property by its name; of a collection, its items."""

Predicate = Callable[[Value], bool]
"""Tells whether something passes, given its properties."""

_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<colon>:)|(?P<text>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\d(?:T[0-9:.]+(?:Z|[+-]\d\d:?\d\d)?)?)|(?P<number>-?\d{1,18})|(?P<word>[A-Za-z@][\w./@-]*))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip
_NAMES = {"eq": "Equal", "ne": "NotEqual", "gt": "GreaterThan", "ge": "GreaterThanOrEqual", "lt": "LessThan",
          "le": "LessThanOrEqual"}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part.casefold() in text.casefold(),
    "startswith": lambda text, part: text.casefold().startswith(part.casefold()),
    "endswith": lambda text, part: text.casefold().endswith(part.casefold()),
}
_WORDS = {"true": True, "false": False, "null": None}
_EDM = {"text": "String", "time": "DateTimeOffset", "truth": "Boolean", "number": "Int32", "word": "String"}
_DEPTH = 20
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fields:
    """What a filter may name.

    Attributes:
        plain: Properties.
        kinds: Of which kind they are, where that is to be checked: text, time, truth or number.
        collections: Collections for any(), with what each item has; an empty name is the item itself.
    """

    plain: frozenset[str]
    kinds: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    collections: Mapping[str, frozenset[str]] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter ready for use.

    Attributes:
        properties: Those it names, in their order.
        equal: What each thing that passes has in common.
    """

    passes: Predicate
    properties: tuple[str, ...]
    equal: Mapping[str, Any]


class _Term(NamedTuple):
    """A part of a filter."""

    passes: Predicate
    equal: Mapping[str, Any] = NOTHING


def read_instant(text: str) -> int:
    """Read a date-time literal as seconds since 1970, UTC where it names no zone; raises ValueError."""
    value = datetime.fromisoformat(text)
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def invalid_filter(text: str) -> GraphFault:
    """Make the 400 for a filter that cannot be read."""
    return GraphFault(400, "ErrorInvalidUrlFilterClause", f"Invalid filter clause: {text[:200]}")


def read_filter(text: str, allowed: Fields | frozenset[str]) -> Filter:
    """Read a filter over what is `allowed`; raises GraphFault 400."""
    parser = _Parser(text, allowed if isinstance(allowed, Fields) else Fields(allowed))
    term = parser.either(0)
    if parser.kind:
        raise invalid_filter(text)
    return Filter(term.passes, tuple(parser.properties), term.equal)


class _Parser:
    """Recursive descent over one filter; `kind` and `token` are the next token's, empty at the end."""

    def __init__(self, text: str, fields: Fields) -> None:
        self._text = text
        self._fields = fields
        self._at = 0
        self._variable = ""
        self.properties: list[str] = []
        self.kind = self.token = ""
        self._next()

    def either(self, depth: int) -> _Term:
        """Read terms joined by ``or``."""
        terms = [self._both(depth)]
        while self._take_word("or"):
            terms.append(self._both(depth))
        return terms[0] if len(terms) == 1 else _Term(lambda value: any(term.passes(value) for term in terms))

    def _both(self, depth: int) -> _Term:
        factors = [self._single(depth)]
        while self._take_word("and"):
            factors.append(self._single(depth))
        equal = {name: value for factor in factors for name, value in factor.equal.items()}
        return _Term(lambda value: all(factor.passes(value) for factor in factors), equal)

    def _single(self, depth: int) -> _Term:
        if depth > _DEPTH:
            raise invalid_filter(self._text)
        if self._take_word("not"):
            inner = self._single(depth + 1)
            return _Term(lambda value: not inner.passes(value))
        if self._take("open"):
            term = self.either(depth + 1)
            self._expect("close")
            return term
        if self.kind == "word" and self.token.lower() in _FUNCTIONS:
            return self._function()
        if self.kind == "word" and self.token.lower().endswith("/any"):
            return self._any(depth)
        return self._comparison()

    def _comparison(self) -> _Term:
        name = self._property()
        word = self._expect("word").lower()
        if word == "in":
            return self._one_of(name)
        compare = _COMPARISONS.get(word)
        if compare is None:
            raise invalid_filter(self._text)
        literal = self._literal(name, word)
        folded = _folded(literal)

        def passes(value: Value) -> bool:
            found = _folded(value(name))
            if found is None or folded is None or type(found) is not type(folded):
                return compare in (operator.eq, operator.ne) and compare(found, folded)
            return compare(found, folded)

        return _Term(passes, {name: literal} if word == "eq" and not self._variable else NOTHING)

    def _one_of(self, name: str) -> _Term:
        self._expect("open")
        wanted = [_folded(self._literal(name, "eq"))]
        while self._take("comma"):
            wanted.append(_folded(self._literal(name, "eq")))
        self._expect("close")
        return _Term(lambda value: _folded(value(name)) in wanted)

    def _function(self) -> _Term:
        function = _FUNCTIONS[self._expect("word").lower()]
        self._expect("open")
        name = self._property()
        self._expect("comma")
        literal = str(self._literal(name, "eq"))
        self._expect("close")
        return _Term(lambda value: function(str(value(name) or ""), literal))

    def _any(self, depth: int) -> _Term:
        """Read ``collection/any(x:...)``; only some collections can be looked into."""
        said = self._expect("word")[: -len("/any")]
        name = next((one for one in self._fields.collections if one.lower() == said.lower()), None)
        if name is None or self._variable:
            raise GraphFault(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")
        self.properties.append(name)
        self._expect("open")
        if self._take("close"):
            return _Term(lambda value: bool(value(name)))
        self._variable, outer = self._expect("word"), self._fields
        self._expect("colon")
        self._fields = Fields(outer.collections[name])
        inner = self.either(depth + 1)
        self._fields, self._variable = outer, ""
        self._expect("close")
        return _Term(lambda value: any(inner.passes(_within(item)) for item in value(name) or ()))

    def _property(self) -> str:
        name = self._expect("word")
        if self._variable:
            variable, _, name = name.partition("/")
            if variable != self._variable or name not in self._fields.plain:
                raise invalid_filter(self._text)
            return name
        known = next((one for one in self._fields.plain if one.lower() == name.lower()), None)
        if known is None:
            raise GraphFault(400, "BadRequest", f"Could not find a property named '{name[:100]}' that can be filtered.")
        self.properties.append(known)
        return known

    def _literal(self, name: str, comparison: str) -> str | int | bool | None:
        kind, token = self.kind, self.token
        self._next()
        if kind == "word" and token.lower() not in _WORDS:
            raise invalid_filter(self._text)
        if kind not in ("text", "number", "date", "word"):
            raise invalid_filter(self._text)
        self._check_kind(name, "time" if kind == "date" else "truth" if kind == "word" else kind, token, comparison)
        if kind == "text":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return int(token)
        return self._instant(token) if kind == "date" else _WORDS[token.lower()]

    def _check_kind(self, name: str, kind: str, token: str, comparison: str) -> None:
        wanted = self._fields.kinds.get(name, kind)
        if kind != wanted and token.lower() != "null":
            raise GraphFault(
                400,
                "BadRequest",
                "A binary operator with incompatible types was detected. Found operand types "
                f"'Edm.{_EDM[wanted]}' and 'Edm.{_EDM[kind]}' for operator kind '{_NAMES[comparison]}'.",
            )

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


def _folded(value: Any) -> Any:
    """Return a value as it is compared: Exchange does not tell upper from lower case."""
    return value.casefold() if isinstance(value, str) else value


def _within(item: Any) -> Value:
    return lambda name: item.get(name) if name else item
