"""Large attachments on their way: the ranges that have come, on disk until the file is whole."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postroom.simulator.state.compose import Enclosure
from postroom.simulator.state.content import Contents
from postroom.simulator.state.mailbox import Mailbox

LIFETIME = timedelta(hours=3)
_MOST = 1000


@dataclass(slots=True)
class Upload:
    """One file being uploaded.

    Attributes:
        token: Whoever knows it may upload.
        message: Id of the message as the client gave it; `item` is its number.
        file: What is to be attached, without its data.
        size: Bytes announced; `received` are there.
        pieces: Where on disk.
    """

    token: str
    mailbox: Mailbox
    message: str
    item: int
    file: Enclosure
    size: int
    expires: datetime
    received: int = 0
    pieces: list[int] = field(default_factory=list)


class Uploads:
    """The uploads under way in a tenant; the oldest are forgotten when they become too many."""

    def __init__(self, contents: Contents, clock: Callable[[], datetime]) -> None:
        self._contents = contents
        self._clock = clock
        self._by_token: dict[str, Upload] = {}

    def begin(self, mailbox: Mailbox, message: str, item: int, file: Enclosure, size: int) -> Upload:
        """Open an upload."""
        upload = Upload(secrets.token_urlsafe(48), mailbox, message, item, file, size, self._clock() + LIFETIME)
        self._by_token[upload.token] = upload
        if len(self._by_token) > _MOST:
            del self._by_token[next(iter(self._by_token))]
        return upload

    def find(self, token: str) -> Upload | None:
        """Return the upload a token is for, None when there is none or its time is over."""
        upload = self._by_token.get(token)
        if upload is not None and upload.expires <= self._clock():
            self.end(upload)
            return None
        return upload

    def take(self, upload: Upload, piece: bytes) -> None:
        """Take in the next range."""
        upload.pieces.append(self._contents.put_mime(piece))
        upload.received += len(piece)

    def end(self, upload: Upload) -> None:
        """Close an upload."""
        self._by_token.pop(upload.token, None)

    def data(self, upload: Upload) -> bytes:
        """Return all that was received."""
        return b"".join(self._contents.record(at) for at in upload.pieces)
