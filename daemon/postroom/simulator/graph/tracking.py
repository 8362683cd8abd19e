"""What the delta functions of messages and of folders have in common: tokens, links and the 410 that starts anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import quote

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.faults import GraphFault, as_fault, bad_request
from postroom.simulator.graph.message_json import instant
from postroom.simulator.state import Cursor, DeltaQuery, Mailbox, SyncReset, begin, read_token
from postroom.simulator.state.tracked import Tracked


def check_room(mailbox: Mailbox) -> None:
    """Refuse change tracking in a full mailbox: it keeps its state in there (microsoft-graph-docs-contrib#6596)."""
    if mailbox.full:
        raise GraphFault(
            403,
            "ErrorQuotaExceeded",
            "The mailbox has exceeded its maximum mailbox size., Cannot save changes made to an item to store.",
        )


def find_cursor(call: Call, mailbox: Mailbox, tracked: Tracked, url: str, query: Callable[[], DeltaQuery]) -> Cursor:
    """Return where the page begins. A link's own options count, others on the same request do not."""
    token = call.options.get("skiptoken") or call.options.get("deltatoken", "")
    if not token or token.lower() == "latest":
        return begin(mailbox, tracked, query())
    try:
        return read_token(mailbox, tracked, token, call.state.nuisance)
    except SyncReset as reset:
        raise _restart(url, reset) from reset


def link(kind: str, url: str, token: str) -> dict[str, str]:
    """Write the one link of a page: ``nextLink`` or ``deltaLink``."""
    name = "$deltatoken" if kind == "deltaLink" else "$skiptoken"
    return {f"@odata.{kind}": f"{url}?{name}={token}"}


def unsupported(why: str) -> GraphFault:
    """Make the 400 for an option that change tracking does not know."""
    return bad_request(
        f"The following parameters are not supported with change tracking: {why}", "ErrorInvalidUrlQuery"
    )


def _restart(url: str, reset: SyncReset) -> GraphFault:
    """Make the 410 that says where to begin again: the chain's URL with an empty token (LEARN delta-query-overview)."""
    options = write_options(cast("DeltaQuery", reset.restart))
    written = "".join(f"&{name}={quote(value, safe=',:')}" for name, value in options.items() if value)
    fault = as_fault(reset)
    fault.headers["Location"] = f"{url}?$deltatoken={written}"
    return fault


def write_options(query: DeltaQuery) -> Mapping[str, str]:
    """Write a chain's options as the first request gave them."""
    comparison = "gt" if query.after else "ge"
    return {
        "$select": ",".join(query.select),
        "$expand": query.expand,
        "$filter": "" if query.since is None else f"receivedDateTime {comparison} {instant(query.since)}",
        "$orderby": "receivedDateTime desc" if query.newest_first else "",
        "$top": str(query.top or ""),
        "changeType": query.change,
    }
