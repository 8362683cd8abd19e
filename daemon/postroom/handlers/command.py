"""`command`: a program run for each mail."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, field_validator

from postroom.handlers.duration import Duration
from postroom.handlers.process import Ended, last_line, run
from postroom.plugin import (
    Address,
    Context,
    Done,
    Handler,
    HandlerError,
    Message,
    Options,
    Outcome,
    Reject,
    Retry,
    TemporaryError,
)

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What a program gets of the daemon's own environment."""

LONGEST_VARIABLE = 16_384
"""Characters of one variable: Linux allows 128 KiB for one, and a stranger decides on the recipients."""

LONGEST_KILL_AFTER = 8.0
"""Seconds; a delivery is given up 10 s after its time is up, and KILL must have come by then."""

TRY_AGAIN = os.EX_TEMPFAIL
FOR_GOOD = range(os.EX_USAGE, os.EX_CONFIG + 1)
"""Exit codes of sysexits.h, 64 to 78: all but `TRY_AGAIN` mean that it would fail again."""

Word = Annotated[str | Path, WithJsonSchema({"type": "string"})]
"""A word of a command, a path where it starts at the configuration file."""


class CommandOptions(Options):
    """Which program, and how."""

    command: list[Word] = Field(min_length=1)
    """The program, a path when it holds a `/` and else found in `PATH`, and its arguments; no shell reads them."""

    environment: dict[str, str] = Field(default_factory=dict)
    """More variables for its environment."""

    working_directory: Path | None = None
    """Where it runs; the daemon's own directory otherwise."""

    on_error: Literal["retry", "reject"] = "retry"
    """What an exit code outside of sysexits.h means, such as 1."""

    kill_after: Duration = Field(default=5.0, gt=0, le=LONGEST_KILL_AFTER)
    """Seconds, or such as `5s`, at most `8s`, between TERM and KILL when its time is up or the daemon stops."""

    @field_validator("command")
    @classmethod
    def _can_be_passed(cls, command: list[str | Path]) -> list[str | Path]:
        program, *arguments = map(str, command)
        if not program.strip() or any("\0" in word for word in (program, *arguments)):
            raise ValueError("the first item is the program; no item may hold a NUL character")
        return [Path(program) if "/" in program else program, *arguments]

    @field_validator("environment")
    @classmethod
    def _can_be_set(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"{name!r} cannot be set: a name holds no `=`, and neither holds a NUL character")
        return environment


class Command(Handler[CommandOptions]):
    """Run a program with the mail as MIME on its standard input."""

    async def open(self) -> None:
        """Look for the program; raises HandlerError when it is not there."""
        if self.missing():
            raise HandlerError(
                f"There is no program {self._argv()[0]} that could be run.",
                remedy="Install it, make it executable, or mend `command`: a path starts at the configuration file.",
            )

    def missing(self) -> Mapping[str, str]:
        """Look for the program."""
        program = self._argv()[0]
        path = self.options.environment.get("PATH", os.environ.get("PATH"))
        if shutil.which(program, path=path) is not None:
            return {}
        return {"command": f"there is no program {program} that could be run"}

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Run it for one mail."""
        argv = self._argv()
        async with context.mime() as mime:
            try:
                ended = await run(
                    argv,
                    stdin=mime,
                    environment=self._environment(message, context),
                    directory=self.options.working_directory,
                    kill_after=self.options.kill_after,
                )
            except OSError as error:
                raise TemporaryError(
                    f"{argv[0]} cannot be run: {error.strerror or error}.",
                    remedy="Check the program and `working_directory`.",
                ) from error
        return verdict(ended, argv[0], self.options.on_error)

    def _argv(self) -> list[str]:
        """Return what is run; a path is made absolute, for the program starts in another directory."""
        return [str(word.absolute()) if isinstance(word, Path) else word for word in self.options.command]

    def _environment(self, message: Message, context: Context) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | self.options.environment | metadata(message, context)


def metadata(message: Message, context: Context) -> dict[str, str]:
    """Return what the program learns about the mail: each value one line, whatever the mail says."""
    values = {
        "MAILBOX": message.mailbox,
        "FOLDER": message.folder,
        "RULE": context.rule,
        "HANDLER": context.handler,
        "ATTEMPT": str(context.attempt),
        "IDEMPOTENCY_KEY": context.idempotency_key,
        "MESSAGE_ID": message.id,
        "INTERNET_MESSAGE_ID": message.internet_message_id,
        "CONVERSATION_ID": message.conversation_id,
        "RECEIVED_AT": message.received_at.astimezone(UTC).isoformat(),
        "SUBJECT": message.subject,
        "FROM": message.sender.address,
        "FROM_NAME": message.sender.name,
        "TO": _addresses(message.to),
        "CC": _addresses(message.cc),
        "IMPORTANCE": message.importance,
        "CATEGORIES": ", ".join(message.categories),
        "HAS_ATTACHMENTS": "1" if message.has_attachments else "0",
    }
    return {f"POSTROOM_{name}": one_line(value) for name, value in values.items()}


def one_line(text: str) -> str:
    """Make `text` fit for a variable: control characters become spaces, and what UTF-8 cannot say becomes ``?``."""
    short = text[:LONGEST_VARIABLE]
    plain = "".join(" " if ord(one) < ord(" ") or one in "\x7f\x85\u2028\u2029" else one for one in short)
    return plain.encode("utf-8", "replace").decode()


def verdict(ended: Ended, program: str, on_error: Literal["retry", "reject"]) -> Outcome:
    """Decide what the way the program ended means."""
    if ended.code == 0:
        return Done(note=last_line(ended.stdout))
    words = last_line(ended.stderr)
    how = f"was killed by {_signal_name(-ended.code)}" if ended.code < 0 else f"ended with exit code {ended.code}"
    reason = f"{program} {how}{': ' + words if words else '.'}"
    if ended.code in FOR_GOOD:
        return Retry(reason) if ended.code == TRY_AGAIN else Reject(reason)
    return Reject(reason) if ended.code > 0 and on_error == "reject" else Retry(reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _addresses(addresses: Iterable[Address]) -> str:
    return ", ".join(address.address for address in addresses)
