"""The mailboxes of the simulated tenant: folders, messages, changes and delta chains. No HTTP, no faults.

`TenantState` is the way in. Messages are small in memory; their MIME, and what was read from it, lie on disk.
"""

from postroom.simulator.state.compose import Draft, Enclosure, compose, take_apart
from postroom.simulator.state.content import Contents, Text
from postroom.simulator.state.delta import (
    Cursor,
    DeltaPage,
    DeltaQuery,
    Entry,
    Removed,
    begin,
    next_page,
    read_token,
    write_token,
)
from postroom.simulator.state.errors import (
    FolderExists,
    ForeignId,
    MalformedId,
    StateError,
    SyncReset,
    SyncStateInvalid,
    SyncStateNotFound,
    UnknownAttachment,
    UnknownFolder,
    UnknownMailbox,
    UnknownMessage,
)
from postroom.simulator.state.folder import RECOVERABLE, ROOT, WELL_KNOWN, Folder
from postroom.simulator.state.mailbox import Mailbox
from postroom.simulator.state.message import Address, Envelope, Part, StoredMessage
from postroom.simulator.state.mime import parse
from postroom.simulator.state.tenant import TenantState

__all__ = [
    "RECOVERABLE",
    "ROOT",
    "WELL_KNOWN",
    "Address",
    "Contents",
    "Cursor",
    "DeltaPage",
    "DeltaQuery",
    "Draft",
    "Enclosure",
    "Entry",
    "Envelope",
    "Folder",
    "FolderExists",
    "ForeignId",
    "Mailbox",
    "MalformedId",
    "Part",
    "Removed",
    "StateError",
    "StoredMessage",
    "SyncReset",
    "SyncStateInvalid",
    "SyncStateNotFound",
    "TenantState",
    "Text",
    "UnknownAttachment",
    "UnknownFolder",
    "UnknownMailbox",
    "UnknownMessage",
    "begin",
    "compose",
    "next_page",
    "parse",
    "read_token",
    "take_apart",
    "write_token",
]
