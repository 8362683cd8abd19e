"""Fixtures for pytest. In your ``conftest.py``: ``pytest_plugins = ["postroom.testing.pytest_plugin"]``.

It is not loaded by itself, so that installing Postroom changes nobody else's tests. Needs pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from postroom.testing.clock import ManualClock

if TYPE_CHECKING:
    from postroom.simulator.server import SimulatedTenant
    from postroom.simulator.state import StoredMessage


@pytest.fixture
def manual_clock() -> ManualClock:
    """Return a clock that stands still until it is advanced."""
    return ManualClock()


@pytest.fixture
def tenant_mailboxes() -> list[str]:
    """Return the mailboxes of `tenant`; override it to have others."""
    return ["invoices@contoso.example"]


@pytest.fixture
def tenant_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return further arguments of `SimulatedTenant`; override it, or mark a test with `tenant`.

    ::

        @pytest.mark.tenant(profile="bad-tuesday", seed=7, tls=False)
        async def test_my_client_survives_a_bad_tuesday(tenant): ...
    """
    marker = request.node.get_closest_marker("tenant")
    return {} if marker is None else dict(marker.kwargs)


@pytest_asyncio.fixture
async def tenant(
    tmp_path: Path, tenant_mailboxes: list[str], tenant_options: dict[str, Any]
) -> AsyncIterator[SimulatedTenant]:
    """Run a simulated Microsoft 365 tenant on loopback: Entra, Graph and SMTP over real sockets.

    `tenant.deliver(address, raw)` puts a mail in, `tenant.use_profile(name, seed=7)` changes the weather,
    `tenant.faults` takes single faults and tells what struck, `tenant.clock` can be advanced and frozen.
    """
    from postroom.simulator.server import SimulatedTenant  # noqa: PLC0415 - who only wants a clock loads no server

    async with SimulatedTenant(tmp_path / "tenant", mailboxes=tenant_mailboxes, **tenant_options) as running:
        yield running


@pytest.fixture
def deliver(tenant: SimulatedTenant, tenant_mailboxes: list[str]) -> Callable[..., StoredMessage]:
    """Return a way to put a mail into a mailbox of `tenant`, the first one without an address.

    ::

        deliver(subject="Invoice 4711", text="Dear customer", sender="anna@supplier.example")
        deliver(raw=b"From: ...", to="orders@contoso.example")
    """
    from postroom.simulator.control.compose import Letter, write_mail  # noqa: PLC0415 - see above

    def put(*, raw: bytes | None = None, to: str = tenant_mailboxes[0], **letter: Any) -> StoredMessage:
        return tenant.deliver(to, write_mail(Letter(**letter), to, tenant.clock()) if raw is None else raw)

    return put


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "tenant(**options): arguments of the simulated tenant that the test runs against"
    )
