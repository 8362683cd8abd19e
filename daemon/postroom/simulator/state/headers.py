"""Reads the header block of a stranger's mail: fields, parameters, addresses, dates; nothing in here raises."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

from postroom.simulator.state.charsets import decode_text, decode_words
from postroom.simulator.state.message import Address

MAX_HEADER_BYTES = 256 * 1024
"""Of a longer header block only so much is read."""
MAX_FIELDS = 2000
MAX_ADDRESSES = 1000
MAX_VALUE = 64 * 1024

_END = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOLD = re.compile(r"\r?\n[ \t]*")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))', re.DOTALL)
_CONTINUED = re.compile(r"(.+?)\*(?:(\d{1,3})(\*?))?\Z")
_ADDRESS_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"?|\(([^()]*)\)?|<([^<>]*)>?|([,;])|([^",;:<>()]+)|(:)|(.)', re.DOTALL)

Fields = list[tuple[str, str]]


def header_end(raw: bytes, start: int = 0, end: int | None = None) -> int:
    """Return where the body begins; without a blank line everything is header."""
    end = len(raw) if end is None else end
    for line_end in (b"\r\n", b"\n"):
        if raw.startswith(line_end, start, end):
            return start + len(line_end)
    match = _END.search(raw, start, end)
    return match.end() if match else end


def read_fields(block: bytes) -> Fields:
    """Return the fields of a header block as (name, unfolded value), encoded words left as they are."""
    lines: list[str] = []
    for line in decode_text(block[:MAX_HEADER_BYTES]).split("\n"):
        if line[:1] in (" ", "\t") and lines:
            lines[-1] += "\n" + line
        elif len(lines) < MAX_FIELDS:
            lines.append(line)
    matches = (_FIELD.match(line.rstrip("\r")) for line in lines)
    return [(match[1], _FOLD.sub(" ", match[2]).strip()) for match in matches if match]


def first(fields: Fields, name: str) -> str:
    """Return the first value of a field, or empty."""
    return next((value for field, value in fields if field.lower() == name), "")


def read_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Split ``text/plain; charset=x`` into its value and parameters, continued and encoded ones joined (RFC 2231)."""
    value = value[:MAX_VALUE]
    main, semicolon, rest = value.partition(";")
    plain: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAMETER.finditer(semicolon + rest):
        text = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3].strip()
        key, continued = match[1].lower(), _CONTINUED.match(match[1].lower())
        if continued:
            pieces.setdefault(continued[1], []).append((int(continued[2] or 0), continued[3] != "", text))
        else:
            plain.setdefault(key, decode_words(text))
    return main.strip().lower(), plain | {key: _join(parts) for key, parts in pieces.items()}


def _join(parts: list[tuple[int, bool, str]]) -> str:
    """Join the pieces of a continued parameter; a first piece may begin with charset'language'."""
    parts.sort(key=lambda part: part[0])
    charset, text = "", parts[0][2]
    if parts[0][1] is not False and text.count("'") >= 2:  # noqa: PLR2004 - charset'language'text
        charset, _, text = text.split("'", 2)
    encoded = [text, *(piece for _, _, piece in parts[1:])]
    return decode_text(b"".join(unquote_to_bytes(piece) for piece in encoded), charset)


def read_addresses(value: str) -> tuple[Address, ...]:
    """Return the mail addresses of a header value, groups dissolved, broken ones as they stand."""
    found: list[Address] = []
    words: list[str] = []
    angle: str | None = None
    comment = ""
    for match in _ADDRESS_TOKEN.finditer(value[:MAX_VALUE]):
        quoted, remark, route, end, word, group, _ = match.groups()
        if end:
            found += _address(words, angle, comment)
            words, angle, comment = [], None, ""
        elif group:
            words = []
        elif route is not None:
            angle = route
        elif remark is not None:
            comment = remark
        elif quoted is not None:
            words.append(re.sub(r"\\(.)", r"\1", quoted))
        elif word and word.strip():
            words.append(word.strip())
    found += _address(words, angle, comment)
    return tuple(found[:MAX_ADDRESSES])


def _address(words: list[str], angle: str | None, comment: str) -> list[Address]:
    """Make an address of what stood between two commas."""
    text = decode_words(" ".join(words)).strip()
    if angle is not None:
        return [Address(text or decode_words(comment), "".join(angle.split()))]
    return [Address(decode_words(comment), text)] if text else []


def read_date(value: str) -> int | None:
    """Return a Date header as seconds since 1970, None when it makes no sense."""
    try:
        return int(parsedate_to_datetime(value[:200]).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None
