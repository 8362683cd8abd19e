"""Whether an answer of success is Graph's own: a proxy or a captive portal says 200 to whatever it is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from yarl import URL

from postroom.errors import Unavailable
from postroom.graph.call import Call
from postroom.graph.text import code_of, one_line

STAMP: Final = "request-id"
"""The header that Graph puts on every answer, for its support to find the request by (best-practices docs)."""


def is_graphs(call: Call, status: int, headers: Mapping[str, str]) -> bool:
    """Say whether an answer below 300 has the status that Graph has for the request, and its stamp."""
    return status == call.success and STAMP in headers


def foreign(call: Call, status: int, headers: Mapping[str, str]) -> Unavailable:
    """Return the error that stands for an answer that is not Graph's. Its status is 0: Graph gave none.

    Args:
        call: What was asked.
        status: HTTP status, below 300.
        headers: Whose names are found in any case.
    """
    host = URL(call.url, encoded=True).host
    kind = one_line(headers.get("Content-Type", ""), 80) or "no content type"
    why = f"where Graph answers {call.success}" if STAMP in headers else f"without the {STAMP} that Graph sends"
    return Unavailable(
        f"While {call.doing}, something between Postroom and {host} answered {status} ({kind}) {why}.",
        code="ForeignAnswer",
        request_id=code_of(headers.get(STAMP, "")),
        remedy=f"Look for a proxy, firewall or login portal that answers in Graph's place, and let {host} past it.",
        mailbox=call.mailbox,
    )
