"""Load a handler from its file, as the daemon does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postroom.plugin import Handler
from postroom.registry import HandlerRegistry


def load_handler(file: Path | str, name: str) -> type[Handler[Any]]:
    """Return the class `name` of the handler file; raises HandlerError, with the line that is wrong."""
    return HandlerRegistry().load(f"{Path(file).absolute()}:{name}", Path())
