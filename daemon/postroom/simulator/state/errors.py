"""What the state of the simulated tenant refuses; the Graph layer turns each into its HTTP answer."""

from __future__ import annotations

from postroom.errors import PostroomError


class StateError(PostroomError):
    """The request does not fit the mailboxes as they are."""


class UnknownMailbox(StateError):
    """No mailbox has this address or id."""


class UnknownFolder(StateError):
    """The mailbox has no such folder."""


class UnknownMessage(StateError):
    """The message was never there, has moved (default id) or is deleted."""


class CorruptMessage(StateError):
    """The message is there, but nothing of it can be read."""


class UnknownAttachment(StateError):
    """The message has no such attachment."""


class MalformedId(StateError):
    """The text is not an id of this tenant."""


class ForeignId(StateError):
    """The id is well formed, but belongs to another mailbox."""


class FolderExists(StateError):
    """A sibling folder has this name already."""


class FixedFolder(StateError):
    """The folder is one that every mailbox has: it cannot be deleted, moved or renamed."""


class WrongPlace(StateError):
    """A folder cannot be put there: into itself, below itself, or into a search folder."""


class UnknownSubscription(StateError):
    """The app has no such subscription, or no longer."""


class TooManySubscriptions(StateError):
    """The mailbox has as many subscriptions as it may."""


class SyncStateNotFound(StateError):
    """The link's generation is too old, or its chain has been evicted."""


class SyncStateInvalid(StateError):
    """The link's token cannot be read, or belongs to another folder."""


class SyncReset(StateError):
    """All links of the folder were made void; `restart` is the token-free query to begin again with.

    Attributes:
        restart: The options of the chain, opaque to everybody but the Graph layer.
    """

    def __init__(self, message: str, restart: object) -> None:
        super().__init__(message)
        self.restart = restart
