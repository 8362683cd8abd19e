"""Answers collections page by page: ``$top``, ``$skip``, ``$count`` and the next link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.options import LARGEST_TOP, read_flag, read_number

DEFAULT_PAGE = 10

T = TypeVar("T")


def collection_json(
    call: Call, context: str, found: Sequence[T], write: Callable[[T], dict[str, Any]], *, cursor: str = "skip"
) -> dict[str, Any]:
    """Write one page of what was found, with a link to the next if there is more; `cursor` is the option it goes by."""
    size = read_number(call.options, "top", call.prefer.page_size or DEFAULT_PAGE, LARGEST_TOP)
    skip = read_number(call.options, cursor, 0)
    body: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{context}"}
    if read_flag(call.options, "count"):
        body["@odata.count"] = len(found)
    body["value"] = [write(one) for one in found[skip : skip + size]]
    if size > 0 and skip + size < len(found):
        body["@odata.nextLink"] = _next_link(call, cursor, skip + size)
    return body


def _next_link(call: Call, cursor: str, place: int) -> str:
    """Return the URL of this request with another place in the list; all other options stay as they were."""
    query = call.request.query.items()
    options = [(name, value) for name, value in query if name.lower().removeprefix("$") != cursor]
    written = "&".join(
        f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in [*options, (f"${cursor}", str(place))]
    )
    return f"{call.request.scheme}://{call.request.host}{call.request.rel_url.raw_path}?{written}"
