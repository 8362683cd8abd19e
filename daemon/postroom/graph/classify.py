"""From an HTTP answer to the `GraphError` it stands for. Pure.

Status alone does not do: 403 covers permission, scope and quota, 404 covers item, folder, user and licence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from postroom.errors import GraphError, NotFound, Refused
from postroom.graph import situations
from postroom.graph.retry import retry_after
from postroom.graph.situations import BY_CODE, BY_HINT, BY_STATUS, Situation
from postroom.graph.text import code_of, one_line
from postroom.graph.tolerant import loads

_DEEPEST = 10
_BODY_IS_NO_MATTER = frozenset({401, 405, 409, 410, 412, 413, 429, 509})
"""Statuses that mean what they say even with an empty body or a proxy's page."""


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    doing: str = "talking to it",
    now: datetime | None = None,
    **fields: Any,
) -> GraphError:
    """Return the error that an unsuccessful answer stands for (Graph error reference; codes seen from Outlook).

    Args:
        status: HTTP status, not 2xx.
        headers: Response headers, in any case.
        body: As received; need not be JSON.
        doing: What was tried, as in ``reading Inbox of a@b``.
        now: Wall-clock time, for a Retry-After date; None takes the answer's own Date.
        fields: Further fields for the log, such as ``mailbox``.
    """
    named = {name.lower(): value for name, value in headers.items()}
    codes, text = _codes_and_text(body)
    situation = _situation(status, codes, text, named)
    code = codes[0] if codes else _fallback_code(status)
    return situation.kind(
        f"While {doing}, Graph answered {status} {code}{': ' + text if text else ''}".rstrip(". ") + ".",
        status=status,
        code=code,
        inner_code=next((inner for inner in reversed(codes[1:]) if _known(inner)), codes[-1] if codes[1:] else ""),
        request_id=named.get("request-id", ""),
        retry_after=retry_after(named, now),
        remedy=situation.remedy,
        parks=situation.parks,
        **fields,
    )


def item_is_gone(error: GraphError) -> bool:
    """Say whether the error means that this one item is not there, as opposed to its folder or mailbox."""
    return isinstance(error, NotFound) and error.code.lower() in {"erroritemnotfound", "itemnotfound"}


def _situation(status: int, codes: list[str], text: str, headers: Mapping[str, str]) -> Situation:
    lowered = text.lower()
    for part, hint, situation in BY_HINT:
        if hint in lowered and (not part or any(part in code.lower() for code in codes)):
            return situation
    if "insufficient_claims" in headers.get("www-authenticate", ""):
        return situations.CLAIMS_CHALLENGE
    for code in reversed(codes):
        if known := _known(code):
            return known
    return _by_status(status, recognised=bool(codes))


def _known(code: str) -> Situation | None:
    """Look a code up; SyncState codes come in several spellings (SyncStateNotFound, syncStateInvalid ...)."""
    lowered = code.lower()
    return situations.RESYNC if lowered.startswith("syncstate") else BY_CODE.get(lowered)


def _by_status(status: int, *, recognised: bool) -> Situation:
    if status < 400:  # noqa: PLR2004 - 3xx
        return situations.REDIRECTED
    if not recognised and status not in _BODY_IS_NO_MATTER:
        return situations.NOT_GRAPH
    if status in BY_STATUS:
        return BY_STATUS[status]
    return situations.TRANSIENT if status >= 500 else Situation(Refused)  # noqa: PLR2004 - 5xx


def _fallback_code(status: int) -> str:
    return "InvalidAuthenticationToken" if status == 401 else ""  # noqa: PLR2004 - an empty 401 means just that


def _codes_and_text(body: bytes) -> tuple[list[str], str]:
    """Return the error codes, outermost first, and the text; nothing when the body is not a Graph error."""
    try:
        document = loads(body)
    except ValueError:
        return [], ""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):  # the OAuth form, which some front ends use
        return [code_of(error)] if code_of(error) else [], one_line(document.get("error_description"))
    if not isinstance(error, dict):
        return [], ""
    return list(_codes(error)), one_line(error.get("message"))


def _codes(error: dict[str, Any]) -> Iterator[str]:
    """Walk error.innerError.innererror...; both spellings occur (Graph error reference)."""
    level: Any = error
    for _ in range(_DEEPEST):
        if not isinstance(level, dict):
            return
        if code := code_of(level.get("code")):
            yield code
        level = level.get("innerError") or level.get("innererror")
