from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, field_validator

from postroom.config import Config, parse
from postroom.errors import ConfigError, HandlerError, Problem
from postroom.plugin import Context, Done, Handler, Message, Options, Outcome

TENANT = (
    "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}\n"
)
MAILBOX = "mailboxes:\n  - {address: a@b.example, rules: [{handle: log}]}\n"


class SaveOptions(Options):
    """Where files go."""

    directory: Path
    """The directory."""
    pattern: str = "*"
    """Which files."""
    copies: int = Field(default=1, ge=1)
    """How many."""
    also: tuple[Path, ...] = ()
    secret_file: Path | None = None
    limit: int | None = 10

    @field_validator("pattern")
    @classmethod
    def _no_slash(cls, pattern: str) -> str:
        if "/" in pattern:
            raise ValueError(f"{pattern} names a directory")
        return pattern


class Save(Handler[SaveOptions]):
    """Save files."""

    async def handle(self, message: Message, context: Context) -> Outcome:
        return Done()

    def secrets(self) -> Mapping[str, Path]:
        return {"secret_file": self.options.secret_file} if self.options.secret_file else {}


class Log(Handler[Options]):
    """Log mails."""

    async def handle(self, message: Message, context: Context) -> Outcome:
        return Done()


class Grumpy(Handler[Options]):
    """Refuse to be made."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        raise RuntimeError("not today")

    async def handle(self, message: Message, context: Context) -> Outcome:
        return Done()


class Needy(Handler[Options]):
    """Print mails on what is not there."""

    async def handle(self, message: Message, context: Context) -> Outcome:
        return Done()

    def missing(self) -> Mapping[str, str]:
        return {"printer": "the printer lp0 is not there"}


HANDLERS: dict[str, type[Handler[Any]]] = {"save_files": Save, "log": Log, "grumpy": Grumpy, "needy": Needy}


def lookup(use: str, directory: Path) -> type[Handler[Any]]:
    if use in HANDLERS:
        return HANDLERS[use]
    raise HandlerError(f"Handler {use}: nothing there.", remedy="Write a file of that name.")


@pytest.fixture(scope="session")
def handlers() -> Mapping[str, type[Handler[Any]]]:
    return HANDLERS


@pytest.fixture
def find() -> Callable[[str, Path], type[Handler[Any]]]:
    return lookup


@pytest.fixture
def read(tmp_path) -> Callable[..., Config]:
    """Parse a text with the handlers above; relative paths start at tmp_path."""

    def read(text: str, **environ: str) -> Config:
        return parse(text, "postroom.yaml", lookup, HANDLERS, environ, tmp_path)

    return read


@pytest.fixture
def problems(read) -> Callable[..., tuple[Problem, ...]]:
    """Parse a text and return what is wrong with it, warnings of a good one included."""

    def problems(text: str, **environ: str) -> tuple[Problem, ...]:
        try:
            return read(text, **environ).warnings
        except ConfigError as error:
            return error.problems

    return problems


@pytest.fixture
def full(read) -> Callable[..., Config]:
    """Parse a text, with the sections it does not have added."""

    def full(text: str, **environ: str) -> Config:
        keys = {line.partition(":")[0] for line in text.splitlines()}
        if not keys & {"tenant", "tenants"}:
            text = TENANT + text
        return read(text if "mailboxes" in keys else text + MAILBOX, **environ)

    return full


@pytest.fixture
def secret_file(tmp_path) -> Callable[..., Path]:
    """Write a secret that only its owner may read."""

    def write(name: str = "secret", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text("hush\n")
        path.chmod(mode)
        return path

    return write
