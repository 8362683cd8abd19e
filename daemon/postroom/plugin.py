"""The promised API for handler authors: everything a handler imports, and nothing else.

A handler is a class with options and one method::

    class Archive(Handler[ArchiveOptions]):
        \"\"\"Say in one line what it does; `postroom handlers list` shows it.\"\"\"

        async def handle(self, message: Message, context: Context) -> Outcome:
            ...
            return Done(note="archived")

Names in `__all__` keep their meaning within a major version.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, get_args, get_origin

from pydantic import ConfigDict

from postroom.docstrings import Described
from postroom.errors import HandlerError, TemporaryError
from postroom.files import Saved, make_directory, safe_name, save_once, sync_directory
from postroom.model import (
    Address,
    Body,
    Categorise,
    Delete,
    Done,
    Flag,
    Forward,
    MailAction,
    MarkRead,
    Message,
    MoveTo,
    Outcome,
    Reject,
    Reply,
    Retry,
    Send,
    Skip,
)

__all__ = [
    "Address",
    "Attachment",
    "Body",
    "Categorise",
    "Context",
    "Delete",
    "Done",
    "Flag",
    "Forward",
    "Handler",
    "HandlerError",
    "MailAction",
    "MarkRead",
    "Message",
    "MoveTo",
    "Once",
    "Options",
    "Outcome",
    "Reject",
    "Reply",
    "Retry",
    "Saved",
    "Send",
    "Skip",
    "State",
    "TemporaryError",
    "make_directory",
    "safe_name",
    "save_once",
    "sync_directory",
]


class Options(Described):
    """Base of a handler's options: frozen, unknown keys are errors, the docstrings below them appear in the schema.

    An option of type `Path` is relative to the configuration file, unless it is absolute.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
    )


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail; its content is fetched when it is read.

    Attributes:
        name: As the sender wrote it: hostile input. Use `save_to` or `safe_name`.
        size: Bytes as Graph states them: a little more than the content.
        kind: ``file``, or ``item``: a mail (as MIME), an appointment (iCalendar) or a contact (vCard) inside the mail;
            `name` is then its subject, without an extension.
    """

    id: str
    name: str
    content_type: str
    size: int
    is_inline: bool
    source: AttachmentSource
    kind: Literal["file", "item"] = "file"

    def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the content in pieces.

        Until it is read to its end or closed it keeps one of the few requests that the mailbox may have in flight:
        close what is left early with `contextlib.aclosing`. What is open when the attempt ends is closed then.
        """
        return self.source.attachment_content(self.id)

    async def read(self) -> bytes:
        """Return the whole content; for files known to be small."""
        return b"".join([piece async for piece in self.stream()])

    async def save_to(self, directory: Path, *, name: str | None = None) -> Path:
        """Write the content to `directory` under a safe name and return the path.

        The file appears whole or not at all. When the same content is already there under that name, that file is
        the result; when other content is, `name (2)` and so on is used. So a repeat makes no second copy. Raises
        OSError when it cannot be written.
        """
        async with aclosing(self.stream()) as pieces:
            saved = await save_once(directory, name or self.name, pieces)
        return saved.path


class AttachmentSource(Protocol):
    """Where an attachment's content comes from."""

    def attachment_content(self, attachment_id: str) -> AsyncGenerator[bytes, None]:
        """Yield the content in pieces."""


class State(Protocol):
    """Key-value pairs that a configured handler keeps across runs and restarts; values are JSON.

    Mails are handled at once: what one reads, another may have changed before it is written. `add` counts safely.
    """

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under `key`."""

    async def set(self, key: str, value: Any) -> None:
        """Store `value` under `key`, now."""

    async def add(self, key: str, amount: int = 1) -> int:
        """Add to the whole number under `key`, at first 0, and return the sum: nobody else gets the same one.

        Raises TypeError when something else is stored there.
        """


class Log(Protocol):
    """A bound logger: an event name and key-value pairs. Never log a secret or a mail's text."""

    def debug(self, event: str, **fields: Any) -> None:
        """Log a detail."""

    def info(self, event: str, **fields: Any) -> None:
        """Log what happened."""

    def warning(self, event: str, **fields: Any) -> None:
        """Log what an operator may want to look at."""

    def error(self, event: str, **fields: Any) -> None:
        """Log what an operator must look at."""


class Once:
    """An effect that a delivery shall have once, by a key: awaited, or entered with ``async with``.

    ::

        if await context.once("mailed"):                   # recorded before: at most once
            await mail_the_accountant()

        async with context.once("mailed") as first:        # recorded when the block has ended well: at least once
            if first:
                await mail_the_accountant()

    Nothing can make an effect outside of Postroom happen exactly once: when the process dies between the effect and its
    record, the first form may have left it out, and the second makes it again, with the same `idempotency_key`.
    """

    def __init__(self, is_recorded: Callable[[], Awaitable[bool]], record: Callable[[], Awaitable[bool]]) -> None:
        self._is_recorded = is_recorded
        self._record = record
        self._is_first = False

    def __await__(self) -> Generator[Any, None, bool]:
        return self._record().__await__()

    async def __aenter__(self) -> bool:
        self._is_first = not await self._is_recorded()
        return self._is_first

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None and self._is_first:
            await self._record()


class Context(Protocol):
    """What Postroom lends a handler for one attempt.

    Attributes:
        mailbox: Address of the mailbox the mail is in.
        rule: Name of the rule that matched.
        handler: Name of the configured handler.
        attempt: 1 for the first run; higher means that an earlier run failed or was cut off.
    """

    mailbox: str
    rule: str
    handler: str
    attempt: int

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this delivery; hand it to systems that understand one."""

    @property
    def log(self) -> Log:
        """Bound to mailbox, message, handler and attempt."""

    @property
    def state(self) -> State:
        """Key-value pairs that outlive the process; values are JSON."""

    @property
    def http(self) -> Any:
        """The shared `aiohttp.ClientSession` for calls to other systems; it carries no Graph token."""

    def now(self) -> datetime:
        """Return the time (aware, UTC)."""

    async def body(self, kind: Literal["text", "html"] = "text") -> Body:
        """Fetch the mail's text."""

    async def headers(self) -> tuple[tuple[str, str], ...]:
        """Fetch the internet headers, in their order."""

    def attachments(self, pattern: str = "*", *, inline: bool = False) -> AsyncIterator[Attachment]:
        """Yield the attachments whose name fits the glob `pattern`; inline pictures only when asked for.

        Files and mails in the mail (see `Attachment.kind`); links to files in a cloud have no content and are left out.
        """

    def mime(self) -> AbstractAsyncContextManager[Path]:
        """Fetch the whole mail as MIME into a temporary file that lives as long as the `async with`."""

    def once(self, key: str) -> Once:
        """Tell whether an effect is still to be made for this delivery, and record it: see `Once`."""


OptionsT = TypeVar("OptionsT", bound=Options)


class Handler(ABC, Generic[OptionsT]):
    """Base of every handler. Life cycle: `__init__`, `open`, many concurrent `handle`, `close`.

    The first line of the class docstring is its description. `handle` may be a plain method: it then runs in a thread.
    """

    options_type: ClassVar[type[Options]] = Options

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Learn the options class from ``Handler[MyOptions]``, or from a generic base of one's own."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if inspect.isclass(origin) and issubclass(origin, Handler):
                for options in get_args(base):
                    if inspect.isclass(options) and issubclass(options, Options):
                        cls.options_type = options

    async def open(self) -> None:
        """Prepare: connect, make directories. Raising refuses the configuration.

        Raise HandlerError for what no waiting mends: a start ends with 78, which systemd leaves alone. After anything
        else, such as TemporaryError, it tries again.
        """

    @abstractmethod
    def handle(self, message: Message, context: Context) -> Awaitable[Outcome | None] | Outcome | None:
        """Handle one mail. Raise or return what happened; returning nothing means `Done`."""

    async def close(self) -> None:
        """Let go of what `open` took; called even when `open` failed half-way."""

    def secrets(self) -> Mapping[str, Path]:
        """Name the files that hold secrets, so that `check` can warn when the world may read them."""
        return {}

    def missing(self) -> Mapping[str, str]:
        """Say which options name what this machine does not have, so that `check` can warn; `open` has the last word.

        Option name -> a sentence's beginning, such as ``the program /usr/bin/lp is not there``. Nothing is changed, and
        nothing outside of this machine is asked.
        """
        return {}
