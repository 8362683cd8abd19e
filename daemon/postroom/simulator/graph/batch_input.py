"""Reads the body of a ``$batch``: what is no batch is refused as a whole (GDC concepts/json-batching.md)."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from postroom.simulator.graph.faults import bad_request

MOST_PARTS: Final = 20
_WRITES = frozenset({"POST", "PATCH", "PUT"})
_METHODS = frozenset({"GET", "DELETE", *_WRITES})


@dataclass(slots=True)
class Part:
    """One request of a batch; `answered` once it was served, with what came of it in `result`."""

    id: str
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    after: tuple[str, ...]
    answered: asyncio.Event
    result: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether parts that depend on it are not carried out."""
        return not 200 <= self.result["status"] < 300  # noqa: PLR2004 - HTTP's successes


def read_batch(data: bytes) -> dict[str, Part]:
    """Read the parts of a batch by their ids in lower case; raises GraphFault 400."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not requests:
        raise bad_request("Invalid batch payload format.")
    if len(requests) > MOST_PARTS:
        raise bad_request(
            f"Number of batch request steps exceeds the maximum value of {MOST_PARTS}.", "MaximumValueExceeded"
        )
    parts: dict[str, Part] = {}
    for item in requests:
        part = _part(item)
        if part.id.lower() in parts:
            raise bad_request(f"Request Id '{part.id[:100]}' is not unique; ids are compared without case.")
        parts[part.id.lower()] = part
    _check_order(parts)
    return parts


def _part(item: object) -> Part:
    """Read one part."""
    if not isinstance(item, dict):
        raise bad_request("Invalid batch payload format.")
    name, method, url = item.get("id"), item.get("method"), item.get("url")
    headers, after = item.get("headers") or {}, item.get("dependsOn") or []
    if not isinstance(name, str) or not name or not isinstance(method, str) or method.upper() not in _METHODS:
        raise bad_request(
            "A request of the batch lacks its id, or its method is none of GET, POST, PATCH, PUT, DELETE."
        )
    if not isinstance(url, str) or not url or not _is_relative(url):
        raise bad_request(f"The url of request '{name[:100]}' must be relative.")
    if not isinstance(headers, dict) or not all(_is_header(key, value) for key, value in headers.items()):
        raise bad_request(f"The headers of request '{name[:100]}' are not names and texts.")
    if not isinstance(after, list) or not all(isinstance(one, str) for one in after):
        raise bad_request(f"The dependsOn of request '{name[:100]}' must be a list of ids.")
    found = {key: str(value) for key, value in headers.items()}
    content_type = next((value for key, value in found.items() if key.lower() == "content-type"), "")
    if method.upper() in _WRITES and (not content_type or item.get("body") is None):
        raise bad_request(f"Write request id : {name[:100]} does not contain Content-Type header or body.")
    waits = tuple(dict.fromkeys(one.lower() for one in after))
    data = _body(item.get("body"), content_type)
    return Part(name, method.upper(), url, found, data, waits, asyncio.Event(), {})


def _is_relative(url: str) -> bool:
    return not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url) and not url.startswith("//") and "\\" not in url


def _is_header(name: str, value: object) -> bool:
    if not isinstance(value, str | int | float):
        return False
    return re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is not None and str(value).isprintable()


def _body(body: object, content_type: str) -> bytes:
    """Take a part's body: text, such as MIME in base64, as it is; JSON as JSON; anything else out of its base64."""
    if body is None:
        return b""
    if not isinstance(body, str) or "json" in content_type.lower():
        return json.dumps(body).encode()
    if content_type.lower().startswith("text/"):
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return body.encode("utf-8", "replace")


def _check_order(parts: dict[str, Part]) -> None:
    """Refuse parts that wait for parts there are not, or for each other."""
    pending = {name: set(part.after) for name, part in parts.items()}
    unknown = set().union(*pending.values()) - set(parts)
    if unknown:
        raise bad_request(f"dependsOn names a request that is not in the batch: '{min(unknown)[:100]}'.")
    while free := [name for name, waits in pending.items() if not waits]:
        for name in free:
            del pending[name]
        for waits in pending.values():
            waits.difference_update(free)
    if pending:
        raise bad_request("The requests of the batch depend on each other in a circle.")
