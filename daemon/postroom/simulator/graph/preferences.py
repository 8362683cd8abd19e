"""Reads the Prefer headers: several may come, and one may hold several, joined by commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_PREFERENCE = re.compile(r'([A-Za-z.-]+)\s*(?:=\s*(?:"([^"]*)"|([^\s,;"]*)))?')
LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a client prefers, and the words that say so, to be confirmed in Preference-Applied.

    Attributes:
        minimal: Whether a write is to be answered without a body.
        body: ``text`` or ``html``; Graph's default is HTML (message-get.md).
    """

    immutable: bool = False
    page_size: int | None = None
    body: str = "html"
    unsafe_html: bool = False
    minimal: bool = False
    applied: str = ""


@lru_cache(maxsize=256)
def read_preferences(header: str) -> Preferences:
    """Read the Prefer headers, joined by commas; what is unknown or makes no sense is ignored."""
    found = {match[1].lower(): match[2] or match[3] or "" for match in _PREFERENCE.finditer(header[:2000])}
    immutable = found.get("idtype", "").lower() == "immutableid"
    page_size = _page_size(found.get("odata.maxpagesize", ""))
    minimal = found.get("return", "").lower() == "minimal"
    body = found.get("outlook.body-content-type", "").lower()
    unsafe = "outlook.allow-unsafe-html" in found
    applied = [
        'IdType="ImmutableId"' if immutable else "",
        f"odata.maxpagesize={page_size}" if page_size else "",
        f'outlook.body-content-type="{body}"' if body in ("text", "html") else "",
        "outlook.allow-unsafe-html" if unsafe else "",
        "return=minimal" if minimal else "",
    ]
    return Preferences(
        immutable=immutable,
        page_size=page_size,
        body=body if body == "text" else "html",
        unsafe_html=unsafe,
        minimal=minimal,
        applied=", ".join(word for word in applied if word),
    )


def _page_size(value: str) -> int | None:
    """Read a page size; no maximum is documented, and the real one may vary."""
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or int(value) == 0:
        return None
    return min(int(value), LARGEST_PAGE)
