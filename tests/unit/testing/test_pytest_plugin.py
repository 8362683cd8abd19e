import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """\
import pytest

@pytest.mark.asyncio
async def test_time_is_driven(manual_clock):
    await manual_clock.advance(5)
    assert manual_clock.monotonic() == 5
"""

WITH_TENANT = """\
import pytest

@pytest.fixture
def tenant_mailboxes():
    return ["one@contoso.example"]

@pytest.mark.asyncio
async def test_a_tenant_runs(tenant):
    assert tenant is not None
"""

WITH_WEATHER = """\
import aiohttp
import pytest

@pytest.mark.asyncio
@pytest.mark.tenant(profile="lossy-network", seed=7, tls=False, smtp=None)
async def test_a_tenant_has_weather_mail_and_a_clock(tenant, deliver):
    assert (tenant.weather.profile.name, tenant.faults.seed) == ("lossy-network", 7)
    tenant.clock.freeze()
    stored = deliver(subject="Invoice 4711", sender="anna@supplier.example")
    assert stored.received == int(tenant.clock().timestamp())
    deliver(raw=b"Subject: raw\\r\\n\\r\\nx")
    assert len(tenant.state.mailbox("invoices@contoso.example").messages) == 2
    tenant.use_profile("calm")
    tenant.clock.advance(60)
    assert tenant.clock.is_frozen
"""


def outcome(directory, test):
    (directory / "conftest.py").write_text('pytest_plugins = ["postroom.testing.pytest_plugin"]\n')
    (directory / "test_it.py").write_text(test)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "daemon")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_the_fixtures_work_where_they_are_asked_for(tmp_path):
    ran = outcome(tmp_path, TEST)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_tenant_can_be_borrowed(tmp_path):
    pytest.importorskip("postroom.simulator.server")
    ran = outcome(tmp_path, WITH_TENANT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_marked_test_has_a_tenant_of_its_own_kind(tmp_path):
    ran = outcome(tmp_path, WITH_WEATHER)
    assert ran.returncode == 0, ran.stdout + ran.stderr
