"""The mailboxes of the simulated tenant: folders, messages, changes and delta chains. No HTTP, no faults.

`TenantState` is the way in. Messages are small in memory; their MIME, and what was read from it, lie on disk.
"""

from postroom.simulator.state.compose import Draft, Enclosure, Written, compose, take_apart, write
from postroom.simulator.state.content import Contents, Mail, Text, loose
from postroom.simulator.state.cursor import Cursor, DeltaQuery, begin
from postroom.simulator.state.delta import DeltaPage, Entry, Removed, next_page
from postroom.simulator.state.delta_token import read_token, write_token
from postroom.simulator.state.errors import (
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
from postroom.simulator.state.folder import RECOVERABLE, ROOT, WELL_KNOWN, Folder, Search
from postroom.simulator.state.folder_delta import FolderPage, RemovedFolder, next_folder_page
from postroom.simulator.state.limits import Limits, Throttled
from postroom.simulator.state.lookup import Facts, Lookup
from postroom.simulator.state.mailbox import Mailbox
from postroom.simulator.state.message import NOT_FLAGGED, NOTHING, Address, Envelope, Part, StoredMessage
from postroom.simulator.state.mime import parse
from postroom.simulator.state.nuisance import Nuisance, Strike
from postroom.simulator.state.subscription import Event, Subscription, Subscriptions
from postroom.simulator.state.tenant import TenantState
from postroom.simulator.state.upload import Upload

__all__ = [
    "NOTHING",
    "NOT_FLAGGED",
    "RECOVERABLE",
    "ROOT",
    "WELL_KNOWN",
    "Address",
    "Contents",
    "CorruptMessage",
    "Cursor",
    "DeltaPage",
    "DeltaQuery",
    "Draft",
    "Enclosure",
    "Entry",
    "Envelope",
    "Event",
    "Facts",
    "FixedFolder",
    "Folder",
    "FolderExists",
    "FolderPage",
    "ForeignId",
    "Limits",
    "Lookup",
    "Mail",
    "Mailbox",
    "MalformedId",
    "Nuisance",
    "Part",
    "Removed",
    "RemovedFolder",
    "Search",
    "StateError",
    "StoredMessage",
    "Strike",
    "Subscription",
    "Subscriptions",
    "SyncReset",
    "SyncStateInvalid",
    "SyncStateNotFound",
    "TenantState",
    "Text",
    "Throttled",
    "TooManySubscriptions",
    "UnknownAttachment",
    "UnknownFolder",
    "UnknownMailbox",
    "UnknownMessage",
    "UnknownSubscription",
    "Upload",
    "Written",
    "WrongPlace",
    "begin",
    "compose",
    "loose",
    "next_folder_page",
    "next_page",
    "parse",
    "read_token",
    "take_apart",
    "write",
    "write_token",
]
