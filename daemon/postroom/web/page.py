"""The status page. Pure: a snapshot in, HTML out; everything from outside is escaped by jinja2."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
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
        moment=moment,
        remarks=remarks,
    )


def age(seconds: float) -> str:
    """Say a time span in one unit: ``42 s``, ``7 min``, ``3 h``, ``12 d``."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(text: str) -> markupsafe.Markup:
    """Write an ISO 8601 time for people: ``2026-03-01 12:00:00Z``, the form of the command line."""
    said = datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return markupsafe.Markup('<time datetime="{}">{}</time>').format(text, said)


def remarks(folder: Mapping[str, Any]) -> list[str]:
    """Say what is not as usual with a folder; nothing when all is."""
    unaccounted = folder.get("unaccounted", 0)
    said = {
        f"late: limit {age(folder['limit_seconds'])}": folder["stale"],
        "parked": folder.get("parked"),
        "by listing": folder.get("mode") == "listing",
        f"{unaccounted} unaccounted": unaccounted,
    }
    return [words for words, holds in said.items() if holds]


def _of(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
