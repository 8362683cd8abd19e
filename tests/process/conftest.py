"""What most process tests need: a simulated tenant, and a handler whose attempts the test decides about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, mail, write_config
from support.gate import Gate

OTHER = "support@contoso.example"


@pytest.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[SimulatedTenant]:
    """A simulated tenant with two mailboxes, without SMTP."""
    (tmp_path / "tenant").mkdir()
    async with SimulatedTenant(tmp_path / "tenant", mailboxes=[MAILBOX, OTHER], smtp=None) as running:
        yield running


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    """The test's end of the handler ``gate``."""
    async with Gate(tmp_path) as running:
        yield running


Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, tenant: SimulatedTenant) -> Configure:
    """Return a way to write the configuration of a daemon: handlers, mailboxes and so on."""

    def write(text: str, credential: str | None = None, name: str = "postroom.yaml") -> Path:
        path = write_config(tmp_path / name, tenant, text, credential)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def deliver(tenant: SimulatedTenant) -> Callable[..., None]:
    """Return a way to put a mail with this subject into a mailbox."""

    def send(subject: str = "hello", mailbox: str = MAILBOX) -> None:
        tenant.state.deliver_mime(mailbox, mail(subject))

    return send


@pytest.fixture
def elsewhere(tenant: SimulatedTenant) -> Callable[[Path, str], Path]:
    """Return a way to point a configuration at another login host."""

    def point(config: Path, login: str) -> Path:
        config.write_text(config.read_text().replace(f'login: "{tenant.login}"', f'login: "{login}"'))
        return config

    return point
