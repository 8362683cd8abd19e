"""Other people's words made fit for a log line. Pure."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"eyJ[\w-]+(\.[\w-]+)*")
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def one_line(text: object, longest: int = 300) -> str:
    """Return printable text on one line, without anything like a token; empty when it is no text."""
    if not isinstance(text, str):
        return ""
    printable = "".join(character if character.isprintable() else " " for character in text[: 2 * longest])
    line = _TOKEN.sub("[token]", " ".join(printable.split()))
    return line if len(line) <= longest else f"{line[:longest]}..."


def code_of(text: object) -> str:
    """Return an error code or an id if it looks like one, else an empty text."""
    return text if isinstance(text, str) and _CODE.fullmatch(text) else ""
