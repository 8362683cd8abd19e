"""Several tenants and apps in one simulator: each sees its own mailboxes, and what it was granted."""

from __future__ import annotations

import aiohttp
import pytest

from postroom.simulator.identity import register_app
from postroom.simulator.server import SimulatedTenant

OURS, THEIRS = "ann@contoso.example", "bob@fabrikam.example"


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=[OURS], smtp=None, tls=False) as running:
        yield running


@pytest.fixture
def ask(tenant):
    async def inbox(app, address):
        form = {
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "scope": f"{tenant.graph}/.default",
        }
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{tenant.login}/{app.tenant_id}/oauth2/v2.0/token", data=form) as answer:
                headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
            url = f"{tenant.graph}/v1.0/users/{address}/mailFolders/inbox/messages"
            async with client.get(url, headers=headers) as answer:
                return answer.status, (await answer.json()).get("error", {}).get("code")

    return inbox


async def test_each_tenant_sees_its_own_mailboxes_alone(tenant, ask):
    other = tenant.add_tenant([THEIRS])
    assert await ask(tenant, OURS) == (200, None)
    assert await ask(other, THEIRS) == (200, None)
    assert await ask(tenant, THEIRS) == (404, "ErrorInvalidUser")
    assert await ask(other, OURS) == (404, "ErrorInvalidUser")


async def test_an_app_without_consent_gets_a_token_and_nothing_by_it(tenant, ask):
    app = register_app(tenant.entra.directories[0], "Idle", roles=[])
    assert await ask(app, OURS) == (403, "ErrorAccessDenied")


async def test_an_app_limited_to_some_mailboxes_gets_no_other(tenant, ask):
    tenant.state.add_mailbox("eve@contoso.example")
    app = register_app(tenant.entra.directories[0], "Limited", roles=["Mail.Read"], mailboxes=[OURS])
    assert await ask(app, OURS) == (200, None)
    assert await ask(app, "eve@contoso.example") == (403, "ErrorAccessDenied")


async def test_a_token_outlives_the_clock_only_so_long(tenant):
    async with aiohttp.ClientSession() as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": tenant.client_id,
            "client_secret": tenant.client_secret,
            "scope": f"{tenant.graph}/.default",
        }
        async with client.post(f"{tenant.login}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        url = f"{tenant.graph}/v1.0/users/{OURS}/mailFolders/inbox"
        for seconds, status in ((0, 200), (3000, 200), (600, 401)):
            tenant.clock.advance(seconds)
            async with client.get(url, headers=headers) as answer:
                assert answer.status == status
