"""The status page. Pure: a snapshot in, HTML out; everything from outside is escaped by jinja2."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from postroom import __version__

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "status.css").read_text(encoding="utf-8")
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)

STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}"
"""What the content security policy allows as the only style."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def render(snapshot: Mapping[str, Any]) -> str:
    """Return the status page for a health snapshot."""
    counts = snapshot["counts"]
    return _environment.get_template("status.html").render(
        snapshot,
        version=__version__,
        style=markupsafe.Markup(_STYLE),  # noqa: S704 - our own file, read at start
        deliveries=_of(counts, "deliveries."),
        actions=_of(counts, "actions."),
        age=age,
    )


def age(seconds: float) -> str:
    """Say a time span in one unit: ``42 s``, ``7 min``, ``3 h``, ``12 d``."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _of(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
