"""JSON as Graph sends it, which is not always JSON.

Seen from the live service: raw control characters inside strings, half a surrogate pair where a preview was cut in the
middle of an emoji. `repair` makes clean JSON of both; it is slow, and runs only after strict decoding has failed.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding raises; a wrong type (msgspec.ValidationError) is a DecodeError too."""

_NUL = re.compile(r"(\\\\)|\\u0000")


def loads(body: bytes) -> Any:
    """Decode untyped; raises ValueError when it is not JSON even with tolerance."""
    try:
        return msgspec.json.decode(body)
    except NOT_JSON:
        return json.loads(repair(body))


def dumps(document: object) -> bytes:
    """Encode a request body."""
    return msgspec.json.encode(document)


def repair(body: bytes) -> bytes:
    """Return the same document as strict JSON without NUL characters; raises ValueError when it cannot be read."""
    try:
        document = json.loads(body.decode("utf-8-sig", "replace"), strict=False)
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
    return _NUL.sub(lambda match: match[1] or "", text).encode("utf-8", "replace")
