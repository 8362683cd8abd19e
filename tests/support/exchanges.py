"""Keeps exchanges with the simulated Graph for a judge, where POSTROOM_RECORD_EXCHANGES names a directory."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_LISTED = "The contract lists no such operation."
TEXT_COUNT = "A count is plain text, and to the judge text is no integer."
REFUSED_BATCH = "The judge knows only batches that are answered."
DIALECT = "The judge knows fewer spellings than Graph."
OTHER_HOST = "The judge knows the server under one name."
BY_CHANCE = "Made by chance; what Graph would never be asked is judged by the test itself."

RECORDS = os.environ.get("POSTROOM_RECORD_EXCHANGES")


def keep(exchanges: Sequence[dict[str, Any]], test: str) -> None:
    """Write a test's exchanges, all with one server, to a file beside one that holds the base URL."""
    if not RECORDS or not exchanges:
        return
    Path(RECORDS).mkdir(parents=True, exist_ok=True)
    readable = "".join(letter if letter.isalnum() else "-" for letter in test)[-150:]
    name = f"{readable}-{zlib.crc32(test.encode()):08x}"  # tests may differ in signs alone
    lines = "".join(json.dumps(exchange) + "\n" for exchange in exchanges)
    Path(RECORDS, f"{name}.jsonl").write_text(lines)
    base = "/".join(exchanges[0]["url"].split("/", 4)[:4])
    Path(RECORDS, f"{name}.base").write_text(base)
