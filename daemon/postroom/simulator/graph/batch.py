"""``$batch``: up to 20 requests in one (GDC concepts/json-batching.md, known-issues.md).

Every part is served, limited and judged on its own; only a batch that is no batch fails as a whole.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, SupportsBytes

from aiohttp import web
from yarl import URL

from postroom.simulator.graph.answers import error_answer, json_answer
from postroom.simulator.graph.batch_input import Part, read_batch
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.state import Nuisance, StateError

AT_A_TIME: Final = 4
"""Parts that Outlook is sent at once (throttling-outlook.md)."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def run_batch(request: web.Request, nuisance: Nuisance, answer: Answer) -> web.Response:
    """Answer a batch; raises GraphFault 400 for one that is malformed."""
    if request.method != "POST":
        raise GraphFault(405, "Request_BadRequest", f"The method {request.method} is not allowed here.")
    # Taken before the body is read: aiohttp makes no copy of a request afterwards.
    blank = request.clone(method="GET", headers={"Host": request.host})
    parts = read_batch(await request.read())
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
