"""Reads request bodies as leniently as Graph does: names in any case, up to the size and depth it takes."""

from __future__ import annotations

from typing import Any

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_json import EXPANDABLE, PROPERTIES

LARGEST_BODY = 4 * 1024 * 1024 + 64 * 1024
"""Bytes of a request: 4 MB, and room for what stands around a file of under 3 MB (microsoft-graph-docs#11806)."""
_DEEPEST = 40
_PARAMETERS = ("message", "comment", "saveToSentItems", "destinationId", "attachmentItem")
_PIECES = (
    *("emailAddress", "address", "name", "contentType", "content", "flagStatus", "startDateTime", "dueDateTime"),
    *("completedDateTime", "dateTime", "timeZone", "value", "contentBytes", "contentId", "contentLocation", "isInline"),
    *("item", "size", "attachmentType", "sourceUrl", "providerType", "permission", "isFolder"),
)
_SPELLING = {name.lower(): name for name in (*PROPERTIES, *EXPANDABLE, *_PARAMETERS, *_PIECES)}


async def read_body(call: Call) -> dict[str, Any]:
    """Read a JSON object, its names in Graph's spelling; raises GraphFault 400 or 413."""
    await check_size(call)
    body: dict[str, Any] = spelled(await call.json())
    return body


async def read_optional_body(call: Call) -> dict[str, Any]:
    """Read a JSON object; nothing at all is an empty one."""
    await check_size(call)
    return await read_body(call) if await call.request.read() else {}


async def check_size(call: Call) -> None:
    """Refuse a request that is larger than Graph takes; raises GraphFault 413."""
    if (call.request.content_length or 0) > LARGEST_BODY or len(await call.request.read()) > LARGEST_BODY:
        raise GraphFault(413, "RequestEntityTooLarge", "The maximum request length supported is 4MB.")


def spelled(value: Any, depth: int = 0) -> Any:
    """Return JSON with the names it is known by, however a client writes them, and without lone surrogates."""
    if depth > _DEEPEST:
        raise bad_request("The payload is nested too deeply.", "RequestBodyRead")
    if isinstance(value, dict):
        return {_SPELLING.get(name.lower(), _clean(name)): spelled(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [spelled(one, depth + 1) for one in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
