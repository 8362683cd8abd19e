"""The demo's picture: its screen as an SVG that looks the same wherever it was made."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

WIDTH = 100
"""Columns."""

_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def picture_console() -> Console:
    """Return a console that remembers what it shows; no terminal, whatever it is, changes what that is."""
    return Console(record=True, width=WIDTH, highlight=False, force_terminal=False)


def save_picture(console: Console, path: Path) -> None:
    """Write what the console showed as an SVG; raises OSError when it cannot be written."""
    svg = portable(console.export_svg(title="postroom demo", unique_id="postroom-demo"))
    path.write_text(f"{svg}\n", encoding="utf-8")


def portable(svg: str) -> str:
    """Return the SVG with the reader's own fonts and every space kept.

    Rich's fonts would come from another host, which a page does not let a picture ask.
    """
    own_fonts = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", _FONTS)
    return own_fonts.replace("arial", "sans-serif").replace("<svg ", '<svg xml:space="preserve" ', 1)
