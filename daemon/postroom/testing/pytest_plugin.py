"""Fixtures for pytest. In your ``conftest.py``: ``pytest_plugins = ["postroom.testing.pytest_plugin"]``.

It is not loaded by itself, so that installing Postroom changes nobody else's tests. Needs pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from postroom.testing.clock import ManualClock

if TYPE_CHECKING:
    from postroom.simulator.server import SimulatedTenant


@pytest.fixture
def manual_clock() -> ManualClock:
    """Return a clock that stands still until it is advanced."""
    return ManualClock()


@pytest.fixture
def tenant_mailboxes() -> list[str]:
    """Return the mailboxes of `tenant`; override it to have others."""
    return ["invoices@contoso.example"]


@pytest_asyncio.fixture
async def tenant(tmp_path: Path, tenant_mailboxes: list[str]) -> AsyncIterator[SimulatedTenant]:
    """Run a simulated Microsoft 365 tenant on loopback: Entra, Graph and SMTP over real sockets."""
    from postroom.simulator.server import SimulatedTenant  # noqa: PLC0415 - who only wants a clock loads no server

    async with SimulatedTenant(tmp_path / "tenant", mailboxes=tenant_mailboxes) as running:
        yield running
