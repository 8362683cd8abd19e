"""``$batch``: up to 20 requests in one (GDC concepts/json-batching.md, known-issues.md).

Every part is served, limited and judged on its own; only a batch that is no batch fails as a whole.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, SupportsBytes

from aiohttp import web
from yarl import URL

from postroom.simulator.graph.answers import error_answer, json_answer
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.state import Nuisance, StateError

MOST_PARTS: Final = 20
AT_A_TIME: Final = 4
"""Parts that Outlook is sent at once (throttling-outlook.md)."""
_WRITES = frozenset({"POST", "PATCH", "PUT"})
_METHODS = frozenset({"GET", "DELETE", *_WRITES})

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


async def run_batch(request: web.Request, nuisance: Nuisance, answer: Answer) -> web.Response:
    """Answer a batch; raises GraphFault 400 for one that is malformed."""
    if request.method != "POST":
        raise GraphFault(405, "Request_BadRequest", f"The method {request.method} is not allowed here.")
    # Taken before the body is read: aiohttp makes no copy of a request afterwards.
    blank = request.clone(method="GET", headers={"Host": request.host})
    parts = _read(await request.read())
    gate = asyncio.Semaphore(1 if any(part.after for part in parts.values()) else AT_A_TIME)
    await asyncio.gather(*(_serve(part, parts, gate, blank, answer) for part in parts.values()))
    results = [part.result for part in parts.values()]
    nuisance.chance.shuffle(results)
    return json_answer(request, {"responses": results})


async def _serve(
    part: Part, parts: dict[str, Part], gate: asyncio.Semaphore, blank: web.Request, answer: Answer
) -> None:
    """Serve a part when its turn has come, and let those go on that wait for it."""
    earlier = [parts[name] for name in part.after]
    for one in earlier:
        await one.answered.wait()
    if any(one.failed for one in earlier):
        fault = GraphFault(424, "FailedDependency", "A request that this one depends on has failed.")
        part.result = _result(part.id, error_answer(blank, fault))
    else:
        async with gate:
            part.result = _result(part.id, await _response(_request(blank, part), answer))
    part.answered.set()


def _request(blank: web.Request, part: Part) -> web.Request:
    headers = {**part.headers, "Host": blank.host, "Content-Length": str(len(part.body))}
    url = URL(f"/v1.0/{part.url.lstrip('/')}")
    made = blank.clone(method=part.method, rel_url=url, headers=headers)
    made._read_bytes = part.body  # noqa: SLF001 - aiohttp has no public way to give a request a body
    assert isinstance(made, web.Request)
    return made


async def _response(request: web.Request, answer: Answer) -> web.Response:
    try:
        response = await answer(request)
    except (GraphFault, StateError, web.HTTPException) as error:
        response = error_answer(request, error)
    assert isinstance(response, web.Response)
    return response


def _result(part_id: str, response: web.Response) -> dict[str, Any]:
    """Write a part's answer: JSON as such, anything else in base64."""
    data = bytes(response.body) if isinstance(response.body, SupportsBytes) else b""
    result: dict[str, Any] = {"id": part_id, "status": response.status}
    headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    if data:
        headers["Content-Type"] = response.headers.get("Content-Type", "application/json")
    result["headers"] = headers
    if data:
        result["body"] = json.loads(data) if response.content_type == "application/json" else _base64(data)
    return result


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read(data: bytes) -> dict[str, Part]:
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
