"""A machine in Azure gets its tokens without a credential, from an endpoint of its own, and Graph takes them."""

from __future__ import annotations

import asyncio

import aiohttp
import jwt
import msal
import pytest
import requests

from postroom.simulator.effects import EmptyBody
from postroom.simulator.entra.managed import APP_SERVICE_PATH, METADATA_PATH
from postroom.simulator.faults import Fault
from postroom.simulator.identity import add_managed_identity
from postroom.simulator.server import SimulatedTenant

ADDRESS = "ann@contoso.example"
METADATA = {"Metadata": "true"}


@pytest.fixture
async def tenant(tmp_path):
    async with SimulatedTenant(
        tmp_path, mailboxes=[ADDRESS], managed_identity="127.0.0.1:0", smtp=None, tls=False
    ) as running:
        yield running


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def ask(tenant, client):
    async def get(path=METADATA_PATH, headers=METADATA, **query):
        whole = {"api-version": "2018-02-01", "resource": tenant.graph, **query}
        sent = {name: value for name, value in whole.items() if value is not None}
        async with client.get(f"{tenant.metadata}{path}", params=sent, headers=headers) as answer:
            return answer.status, await answer.json()

    return get


def machine(tenant):
    return tenant.entra.directories[0].managed[0]


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


async def test_the_metadata_service_hands_out_a_token_that_graph_takes(tenant, client, ask):
    status, answer = await ask()
    assert status == 200
    assert (answer["token_type"], answer["resource"], answer["expires_in"]) == ("Bearer", tenant.graph, "3599")
    assert claims(answer["access_token"])["appid"] == answer["client_id"] == machine(tenant).app.client_id
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    async with client.get(f"{tenant.graph}/v1.0/users/{ADDRESS}/mailFolders/inbox", headers=headers) as got:
        assert got.status == 200


async def test_msal_signs_in_by_the_metadata_service(tenant, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", tenant.metadata)

    def work():
        with requests.Session() as http:
            http.trust_env = False
            made = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=http)
            return made.acquire_token_for_client(resource=tenant.graph)

    result = await asyncio.to_thread(work)
    assert claims(result["access_token"])["roles"] == ["Mail.ReadWrite", "Mail.Send"]


async def test_msal_signs_in_by_app_service(tenant, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tenant.metadata}{APP_SERVICE_PATH}")
    monkeypatch.setenv("IDENTITY_HEADER", tenant.identity_header)

    def work():
        with requests.Session() as http:
            http.trust_env = False
            made = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=http)
            return made.acquire_token_for_client(resource=tenant.graph)

    assert (await asyncio.to_thread(work))["access_token"]


async def test_app_service_wants_its_header(tenant, ask):
    status, answer = await ask(APP_SERVICE_PATH, {"X-IDENTITY-HEADER": "wrong"}, **{"api-version": "2019-08-01"})
    assert (status, answer["statusCode"]) == (401, 401)


@pytest.mark.parametrize("headers", [{}, {"Metadata": "no"}, {**METADATA, "X-Forwarded-For": "192.0.2.1"}])
async def test_the_metadata_service_wants_its_header_and_no_proxy(ask, headers):
    status, answer = await ask(headers=headers)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert "metadata header" in answer["error_description"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"api-version": None}, "api-version"),
        ({"api-version": "2019-08-01"}, "api-version"),
        ({"resource": None}, "resource"),
        ({"resource": "https://elsewhere.example"}, "AADSTS500011"),
        ({"client_id": "nobody"}, "Identity not found"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(ask, query, words):
    status, answer = await ask(**query)
    assert status == 400
    assert words in answer["error_description"]


async def test_a_user_assigned_identity_is_found_by_each_of_its_ids(tenant, ask):
    other = add_managed_identity(tenant.entra.directories[0], "other", roles=["Mail.Read"], user_assigned=True)
    for query in (
        {"client_id": other.app.client_id},
        {"object_id": other.object_id},
        {"msi_res_id": other.resource_id},
    ):
        status, answer = await ask(**query)
        assert (status, answer["client_id"]) == (200, other.app.client_id)
    assert (await ask())[1]["client_id"] == machine(tenant).app.client_id


async def test_a_lone_user_assigned_identity_stands_in_for_the_machines_own(tenant, ask):
    tenant.entra.directories[0].managed.clear()
    other = add_managed_identity(tenant.entra.directories[0], "other", roles=[], user_assigned=True)
    assert (await ask())[1]["client_id"] == other.app.client_id
    add_managed_identity(tenant.entra.directories[0], "third", roles=[], user_assigned=True)
    assert (await ask())[0] == 400


async def test_its_faults_are_those_of_the_plan(tenant, client):
    tenant.faults.add(Fault(EmptyBody(410), path="/metadata/*"))
    async with client.get(f"{tenant.metadata}{METADATA_PATH}", headers=METADATA) as answer:
        assert answer.status == 410
    assert tenant.faults.counts.total() == 1


async def test_it_is_not_on_graphs_port(tenant, client):
    async with client.get(f"{tenant.graph}{METADATA_PATH}", headers=METADATA) as answer:
        assert (answer.status, (await answer.json())["error"]["message"]) == (400, "Invalid version.")
