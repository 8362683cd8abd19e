"""Graph's error answers: the exception handlers raise, and what the state's refusals are called in Graph."""

from __future__ import annotations

from collections.abc import Mapping

from postroom.simulator.state import (
    CorruptMessage,
    FixedFolder,
    FolderExists,
    ForeignId,
    MalformedId,
    StateError,
    SyncReset,
    SyncStateInvalid,
    SyncStateNotFound,
    TooManySubscriptions,
    UnknownAttachment,
    UnknownFolder,
    UnknownMailbox,
    UnknownMessage,
    UnknownSubscription,
    WrongPlace,
)

RAOP = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."


class GraphFault(Exception):
    """An error answer of Graph: HTTP status, Graph's code and text, and further headers."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


_CODES: dict[type[StateError], tuple[int, str]] = {
    UnknownMailbox: (404, "ErrorInvalidUser"),
    UnknownFolder: (404, "ErrorItemNotFound"),
    UnknownMessage: (404, "ErrorItemNotFound"),
    UnknownAttachment: (404, "ErrorItemNotFound"),
    CorruptMessage: (500, "ErrorCorruptData"),
    MalformedId: (400, "ErrorInvalidIdMalformed"),
    ForeignId: (404, "ErrorInvalidMailboxItemId"),
    FolderExists: (409, "ErrorFolderExists"),
    FixedFolder: (400, "ErrorDeleteDistinguishedFolder"),
    WrongPlace: (400, "ErrorInvalidOperation"),
    UnknownSubscription: (404, "ResourceNotFound"),
    TooManySubscriptions: (403, "ExtensionError"),
    SyncStateNotFound: (410, "SyncStateNotFound"),
    SyncStateInvalid: (410, "SyncStateInvalid"),
    SyncReset: (410, "ResyncRequired"),
}


def as_fault(error: StateError) -> GraphFault:
    """Say a refusal of the state in Graph's words."""
    status, code = _CODES[type(error)]
    return GraphFault(status, code, error.message)


def bad_request(message: str, code: str = "BadRequest") -> GraphFault:
    """Make a 400."""
    return GraphFault(400, code, message)


def access_denied(message: str = "Access is denied. Check credentials and try again.") -> GraphFault:
    """Make the 403 of a missing permission, or of a mailbox out of the app's scope: only the text tells which."""
    return GraphFault(403, "ErrorAccessDenied", message)
