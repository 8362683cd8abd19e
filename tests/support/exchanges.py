"""Keeps exchanges with the simulated Graph for a judge, where POSTROOM_RECORD_EXCHANGES names a directory."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORDS = os.environ.get("POSTROOM_RECORD_EXCHANGES")


def keep(exchanges: Sequence[dict[str, Any]], test: str) -> None:
    """Write a test's exchanges, all with one server, to a file beside one that holds the base URL."""
    if not RECORDS or not exchanges:
        return
    Path(RECORDS).mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in test)[-150:]
    lines = "".join(json.dumps(exchange) + "\n" for exchange in exchanges)
    Path(RECORDS, f"{name}.jsonl").write_text(lines)
    base = "/".join(exchanges[0]["url"].split("/", 4)[:4])
    Path(RECORDS, f"{name}.base").write_text(base)
