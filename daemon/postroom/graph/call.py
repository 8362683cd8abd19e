"""A request to Graph and the record of an exchange: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from postroom.graph.budget import Priority


@dataclass(frozen=True, slots=True)
class Call:
    """One request, before it has a token.

    Attributes:
        url: Whole and already quoted: our own, or a link as Graph sent it.
        mailbox: Whose budget it uses.
        doing: What it is for, as in ``reading Inbox of a@b``; appears in errors.
        repeatable: Sending it twice does what sending it once does.
        single: The answer is about one message; a stranger decides how large it is.
        success: The HTTP status that Graph has for it when it was done; what comes with another was not.
    """

    method: str
    url: str
    mailbox: str
    doing: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    priority: Priority = Priority.REST
    repeatable: bool = True
    single: bool = False
    success: int = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the wire, for metrics and for checking against the contract; the token is left out.

    Attributes:
        response_body: None when it was streamed.
        seconds: From sending to the end of the answer, or to its head when it was streamed.
    """

    method: str
    url: str
    mailbox: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes | None
    seconds: float
