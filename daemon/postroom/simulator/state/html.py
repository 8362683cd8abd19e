"""Turns HTML into text and text into HTML, and takes active content out. One pass, linear for any input."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_SPACES = re.compile(r"[ \t\r\f\v]+")
_BLANK_LINES = re.compile(r"\s*\n\s*\n\s*")
_BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "hr"}
)
_HEAD = '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>'
_SWALLOWED = frozenset({"script", "style", "head", "title"})
_ACTIVE = frozenset({"script", "iframe", "object", "embed", "applet", "form"})


class _Piece(NamedTuple):
    """A tag with its lower-case name, or text with an empty name."""

    name: str
    text: str


def _pieces(source: str, swallowed: frozenset[str]) -> Iterator[_Piece]:
    """Yield tags and the text between them; comments and the `swallowed` elements are left out."""
    lowered = source.lower()
    at = 0
    while at < len(source):
        if source[at] != "<":
            end = source.find("<", at)
            end = len(source) if end < 0 else end
            yield _Piece("", source[at:end])
        elif source.startswith("<!--", at):
            end = _behind(source, "-->", at)
        else:
            end = _tag_end(source, at)
            name = _TAG_NAME.match(source, at, end)
            tag = name[1].lower() if name else "!"
            if source[end - 1] != ">":
                yield _Piece("", "&lt;" + source[at + 1 : end])
            elif tag not in swallowed:
                yield _Piece(tag, source[at:end])
            elif source[at + 1] != "/":
                end = _behind(source, ">", _behind(lowered, f"</{tag}", end))
        at = end


def _tag_end(source: str, at: int) -> int:
    """Return where a tag ends: behind its ``>``, or before the next ``<`` when it was none."""
    following = source.find("<", at + 1)
    following = len(source) if following < 0 else following
    closed = source.find(">", at, following)
    return following if closed < 0 else closed + 1


def _behind(source: str, wanted: str, at: int) -> int:
    """Return the position behind the next `wanted`, or the end."""
    found = source.find(wanted, at)
    return len(source) if found < 0 else found + len(wanted)


def to_text(source: str, enough: int = sys.maxsize) -> str:
    """Return the readable text of HTML, or its beginning when `enough` characters will do."""
    words: list[str] = []
    for piece in _pieces(source, _SWALLOWED):
        words.append("\n" if piece.name in _BREAKS else "" if piece.name else piece.text)
        enough -= len(words[-1].strip())
        if enough < 0:
            break
    text = _SPACES.sub(" ", html.unescape("".join(words)).replace("\xa0", " "))
    return _BLANK_LINES.sub("\n\n", text).strip()


def from_text(text: str) -> str:
    """Return plain text as the HTML document Exchange would make of it."""
    lines = "<br>\r\n".join(html.escape(line, quote=False) for line in text.splitlines())
    return f'{_HEAD}<body>\r\n<div class="PlainText">{lines}</div>\r\n</body></html>'


def sanitise(source: str) -> str:
    """Return HTML without active elements, as Graph does by default (GD21 outlook-create-send-messages.md)."""
    return "".join(piece.text for piece in _pieces(source, _ACTIVE))
