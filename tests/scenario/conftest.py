"""A simulated tenant and a way to run the daemon against it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postroom.simulator.server import SimulatedTenant
from support.daemon import MAILBOX, load_config, run_daemon, write_config
from support.exchanges import keep


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Collect every Graph exchange of the test; kept as files where POSTROOM_RECORD_EXCHANGES names a directory."""
    exchanges: list[dict[str, Any]] = []
    yield exchanges
    keep(exchanges, request.node.nodeid)


@pytest.fixture
async def tenant(tmp_path: Path, record: list[dict[str, Any]]) -> AsyncIterator[SimulatedTenant]:
    """A simulated tenant with one mailbox."""
    directory = tmp_path / "tenant"
    directory.mkdir()
    async with SimulatedTenant(directory, mailboxes=[MAILBOX], record=record.append) as running:
        yield running


RunDaemon = Callable[[str], Any]


@pytest.fixture
def daemon(tmp_path: Path, tenant: SimulatedTenant) -> RunDaemon:
    """Return a way to run a daemon with these handlers, mailboxes and so on (YAML), signed in to the tenant."""
    names = itertools.count()

    def start(text: str, *, credential: str | None = None, journal: str = "journal.db") -> Any:
        config = write_config(tmp_path / f"postroom{next(names)}.yaml", tenant, text, credential, journal)
        return run_daemon(load_config(config))

    return start
