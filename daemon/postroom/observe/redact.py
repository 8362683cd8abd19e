"""What a log line must not show: secrets, tokens, mail texts, and control characters that fool a terminal. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

REDACTED = "[redacted]"
LONGEST_VALUE = 2_000
"""Characters of one value; a stranger decides how long a subject is."""
MOST_ITEMS = 50
DEEPEST = 4

_SECRET_KEY = re.compile(
    r"(secret|token|password|passphrase|authorization|assertion|cookie|credential|api_?key|private_?key|"
    r"(delta|next)_?link)$"
)
_BODY_KEYS = frozenset({"body", "bodypreview", "body_preview", "content", "html", "mime", "preview", "payload"})

_SUSPICIOUS = ("eyj", "bearer", "://", "secret", "token", "pass", "authorization", "assertion", "api")
"""One of these is in every text that a pattern can match; looking for them first makes the common line cheap."""
_PATTERNS = (
    (re.compile(r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"), REDACTED),
    (re.compile(r"\b(bearer)\s+(?!\[|bearer\s)[\w.~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(https?://[^\s\"'<>?#]+)\?[^\s\"'<>]*", re.IGNORECASE), rf"\1?{REDACTED}"),
    (re.compile(r"(\w+://)[^\s/@\"'<>]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"((?:\$|%24)(?:delta|skip)token=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (
        re.compile(
            r"((?:client_secret|client_assertion|access_token|refresh_token|id_token|password|passphrase|api[_-]?key"
            r"|authorization)[\"']?\s*[=:]\s*[\"']?)(?!bearer)(?:basic\s+)?[^\s\"'&,;}\[]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@functools.lru_cache(maxsize=1024)
def is_secret_key(key: str) -> bool:
    """Say whether values under `key` are secrets, whatever they look like."""
    return _SECRET_KEY.search(key.lower().replace("-", "_")) is not None


def redact(text: str) -> str:
    """Return `text` without tokens, passwords and query strings, cut to `LONGEST_VALUE` characters."""
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]}... ({len(text)} characters)"
    lower = text.lower()
    for word in _SUSPICIOUS:
        if word in lower:
            return _cut(text)
    return text


def _cut(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def field(key: str, value: Any, depth: int = 0) -> Any:
    """Return what may be logged of `value` under `key`: JSON types only."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if is_secret_key(key):
        return REDACTED
    if key.lower() in _BODY_KEYS:
        return f"[{len(value)} characters]" if isinstance(value, (str, bytes)) else REDACTED
    return clean(value, depth)


def clean(value: Any, depth: int = 0) -> Any:
    """Return what may be logged of `value`: JSON types only, bounded in depth and size."""
    if isinstance(value, str):
        return redact(str(value))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping) and depth < DEEPEST:
        pairs = list(value.items())[:MOST_ITEMS]
        return {redact(str(key)): field(str(key), item, depth + 1) for key, item in pairs}
    if isinstance(value, (list, tuple, AbstractSet)) and depth < DEEPEST:
        return [clean(item, depth + 1) for item in list(value)[:MOST_ITEMS]]
    return redact(str(value))


def escape(text: str) -> str:
    r"""Return `text` with what would steer a terminal or break a line written out, such as ``\x1b`` or ``\n``."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def escape_json(line: str) -> str:
    r"""Return a line of JSON with the same characters written as ``\u009b``: still JSON, with the same meaning."""
    return line if line.isascii() else _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
