"""The simulated tenant as a whole: one directory, one call, and clients that know nothing of it get along."""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import jwt
import msal
import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from postroom.config import load
from postroom.errors import PostroomError
from postroom.registry import HandlerRegistry
from postroom.simulator.effects import GraphAnswer
from postroom.simulator.faults import Fault
from postroom.simulator.server import SimulatedTenant
from postroom.simulator.tls import make_client_certificate
from support.exchanges import keep

ADDRESS = "invoices@contoso.example"
MAIL = b"From: a@x.example\r\nTo: invoices@contoso.example\r\nSubject: Hello\r\nMessage-ID: <1@x.example>\r\n\r\nHi\r\n"


@pytest.fixture
async def tenant(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SimulatedTenant]:
    exchanges: list[dict] = []
    addresses = [ADDRESS, "support@contoso.example"]
    async with SimulatedTenant(tmp_path, mailboxes=addresses, record=exchanges.append) as running:
        yield running
    keep(exchanges, request.node.nodeid)


def session(tenant: SimulatedTenant) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cafile=tenant.ca_file)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))


async def sign_in(tenant: SimulatedTenant, client: aiohttp.ClientSession, resource: str = "") -> dict[str, str]:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "scope": f"{resource or tenant.graph}/.default",
    }
    async with client.post(f"{tenant.login}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as response:
        return {"Authorization": f"Bearer {(await response.json())['access_token']}"}


async def inbox(tenant: SimulatedTenant, headers: dict[str, str] | None = None) -> tuple[int, dict]:
    """Ask Graph for the inbox; signed in, unless other headers are given."""
    async with session(tenant) as client:
        sent = await sign_in(tenant, client) if headers is None else headers
        url = f"{tenant.graph}/v1.0/users/{ADDRESS}/mailFolders/inbox/messages"
        async with client.get(url, headers=sent) as response:
            return response.status, await response.json()


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def subjects(tenant: SimulatedTenant) -> list[str]:
    status, document = await inbox(tenant)
    assert status == 200, document
    return [message["subject"] for message in document["value"]]


# MSAL, which knows nothing of us


async def msal_sign_in(tenant: SimulatedTenant, credential: object) -> dict:
    def work() -> dict:
        http = requests.Session()
        http.trust_env = False  # REQUESTS_CA_BUNDLE would win over verify
        http.verify = str(tenant.ca_file)
        app = msal.ConfidentialClientApplication(
            tenant.client_id,
            authority=f"{tenant.login}/{tenant.tenant_id}",
            client_credential=credential,
            http_client=http,
            instance_discovery=False,
        )
        with http:
            result: dict = app.acquire_token_for_client([f"{tenant.graph}/.default"])
        return result

    return await asyncio.to_thread(work)


def credentials(tenant: SimulatedTenant) -> dict[str, object]:
    pem = tenant.certificate_file.read_text()
    return {
        "secret": tenant.client_secret,
        "pem": {"private_key": pem, "public_certificate": pem[pem.index("-----BEGIN CERTIFICATE") :]},
        "pfx": {"private_key_pfx_path": str(tenant.pfx_file), "passphrase": tenant.pfx_passphrase},
        "federated": {"client_assertion": tenant.federated_token_file.read_text},
    }


def wrong_credentials(tenant: SimulatedTenant, directory: Path) -> dict[str, object]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    other = make_client_certificate("other", datetime.now(UTC), key)
    (directory / "other.pfx").write_bytes(other.pfx("x"))
    pem = other.pem().decode()
    foreign = tenant.identity.federation.token("somebody else", now=datetime.now(UTC))
    return {
        "secret": "wrong",
        "pem": {"private_key": pem, "public_certificate": pem[pem.index("-----BEGIN CERTIFICATE") :]},
        "pfx": {"private_key_pfx_path": str(directory / "other.pfx"), "passphrase": "x"},
        "federated": {"client_assertion": lambda: foreign},
    }


@pytest.mark.parametrize("kind", ["secret", "pem", "pfx", "federated"])
async def test_msal_signs_in_with_each_credential(tenant, kind):
    result = await msal_sign_in(tenant, credentials(tenant)[kind])
    claims = jwt.decode(result["access_token"], options={"verify_signature": False})
    assert claims["appid"] == tenant.client_id
    assert (await inbox(tenant, {"Authorization": f"Bearer {result['access_token']}"}))[0] == 200


@pytest.mark.parametrize(
    ("kind", "code"), [("secret", 7000215), ("pem", 700027), ("pfx", 700027), ("federated", 700213)]
)
async def test_msal_is_refused_with_each_wrong_credential(tenant, tmp_path, kind, code):
    result = await msal_sign_in(tenant, wrong_credentials(tenant, tmp_path)[kind])
    assert result["error_codes"] == [code]
    assert "access_token" not in result


# Graph behind the sign-in


async def test_graph_answers_a_signed_in_app(tenant):
    tenant.deliver(ADDRESS, MAIL)
    assert await subjects(tenant) == ["Hello"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic YTpi"}])
async def test_graph_refuses_who_is_not_signed_in(tenant, header):
    status, document = await inbox(tenant, header)
    assert (status, document["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert "request-id" in document["error"]["innerError"]


async def test_graph_refuses_a_token_of_another_tenant(tenant, tmp_path):
    (tmp_path / "other").mkdir()
    async with SimulatedTenant(tmp_path / "other", mailboxes=[ADDRESS], smtp=None) as other, session(other) as client:
        headers = await sign_in(other, client)
    assert (await inbox(tenant, headers))[0] == 401


async def test_graph_refuses_a_forged_token(tenant):
    async with session(tenant) as client:
        good = (await sign_in(tenant, client))["Authorization"].removeprefix("Bearer ")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode(claims, key, algorithm="RS256", headers=jwt.get_unverified_header(good))
    none = jwt.encode(claims, None, algorithm="none")
    for token in (forged, none):
        assert (await inbox(tenant, {"Authorization": f"Bearer {token}"}))[0] == 401


async def test_a_token_ends_when_its_time_is_over_or_it_is_revoked(tmp_path):
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], clock=lambda: now, token_lifetime=600) as tenant:
        async with session(tenant) as client:
            headers = await sign_in(tenant, client)
        assert (await inbox(tenant, headers))[0] == 200
        now += timedelta(seconds=599)
        assert (await inbox(tenant, headers))[0] == 200
        now += timedelta(seconds=1)
        assert (await inbox(tenant, headers))[0] == 401
        async with session(tenant) as client:
            headers = await sign_in(tenant, client)
        now += timedelta(seconds=1)
        tenant.app.tokens_valid_from = now
        assert (await inbox(tenant, headers))[0] == 401


async def test_an_app_without_the_permission_is_forbidden(tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], roles=[]) as tenant:
        status, document = await inbox(tenant)
        assert (status, document["error"]["code"]) == (403, "ErrorAccessDenied")


async def test_an_app_is_kept_to_the_mailboxes_it_is_limited_to(tenant):
    tenant.app.mailboxes = frozenset({"support@contoso.example"})
    assert (await inbox(tenant))[0] == 403
    tenant.app.mailboxes = frozenset({ADDRESS})
    assert (await inbox(tenant))[0] == 200


async def test_a_name_for_this_machine_is_as_good_as_its_address(tenant):
    url = tenant.graph.replace("127.0.0.1", "localhost")
    async with session(tenant) as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": tenant.client_id,
            "client_secret": tenant.client_secret,
            "scope": f"{url}/.default",
        }
        async with client.post(f"{url}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as response:
            headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
        async with client.get(f"{url}/v1.0/users/{ADDRESS}/mailFolders/inbox", headers=headers) as response:
            assert response.status == 200


@pytest.mark.parametrize("name", ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"])
async def test_graph_may_be_asked_for_by_the_name_it_has_in_every_tenant(tenant, name):
    async with session(tenant) as client:
        sent = await sign_in(tenant, client, name)
    status, _ = await inbox(tenant, sent)
    assert status == 200


# SMTP, faults, recording


async def test_a_mail_sent_by_smtp_can_be_fetched_at_once_byte_for_byte(tenant):
    host, port = tenant.smtp.split(":")

    def send() -> None:
        with smtplib.SMTP(host, int(port), timeout=10) as client:
            client.sendmail("a@x.example", [ADDRESS], MAIL)

    await asyncio.to_thread(send)
    async with session(tenant) as client:
        headers = await sign_in(tenant, client)
        messages = f"{tenant.graph}/v1.0/users/{ADDRESS}/messages"
        async with client.get(messages, headers=headers) as response:
            (message,) = (await response.json())["value"]
        async with client.get(f"{messages}/{message['id']}/$value", headers=headers) as response:
            assert await response.read() == MAIL


async def test_mail_for_a_mailbox_that_is_not_there_is_refused(tenant):
    host, port = tenant.smtp.split(":")

    def send() -> None:
        with smtplib.SMTP(host, int(port), timeout=10) as client:
            client.sendmail("a@x.example", ["nobody@contoso.example"], MAIL)

    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(send)


async def test_a_fault_strikes_graph_and_leaves_the_sign_in_alone(tenant):
    tenant.faults.add(Fault(GraphAnswer(503, "serviceNotAvailable", headers={"Retry-After": "1"}), path="/v1.0/*"))
    assert (await inbox(tenant))[0] == 503
    assert (await inbox(tenant))[0] == 200
    assert len(tenant.faults.injected) == 1


async def test_what_graph_answered_is_recorded_without_its_token_and_what_a_fault_answered_is_not(tmp_path):
    exchanges: list[dict] = []
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], record=exchanges.append) as tenant:
        tenant.faults.add(Fault(GraphAnswer(429, "ApplicationThrottled"), path="/v1.0/*"))
        await inbox(tenant)
        await inbox(tenant)
        await inbox(tenant, {})
    assert [exchange["status"] for exchange in exchanges] == [200, 401]
    good = exchanges[0]
    assert good["method"] == "GET"
    assert good["url"] == f"{tenant.graph}/v1.0/users/{ADDRESS}/mailFolders/inbox/messages"
    assert good["req_headers"]["Authorization"] == "..."
    assert json.loads(good["resp_body"])["value"] == []
    json.dumps(exchanges)


async def test_a_batch_is_recorded_with_its_parts(tmp_path):
    exchanges: list[dict] = []
    part = {"id": "1", "method": "GET", "url": f"/users/{ADDRESS}/mailFolders/inbox"}
    async with (
        SimulatedTenant(tmp_path, mailboxes=[ADDRESS], record=exchanges.append) as tenant,
        session(tenant) as client,
    ):
        sent = await sign_in(tenant, client)
        async with client.post(f"{tenant.graph}/v1.0/$batch", headers=sent, json={"requests": [part]}) as response:
            assert response.status == 200
    (exchange,) = exchanges
    assert json.loads(exchange["req_body"]) == {"requests": [part]}
    assert json.loads(exchange["resp_body"])["responses"][0]["status"] == 200


# The server itself


async def test_what_is_printed_is_enough_to_find_everything(tenant):
    described = tenant.describe()
    json.dumps(described)
    assert {
        "graph",
        "login",
        "ca_file",
        "tenant_id",
        "client_id",
        "client_secret",
        "certificate_file",
        "smtp",
        "mailboxes",
        "config",
    } <= set(described)
    for name in ("ca_file", "certificate_file", "pfx_file", "federated_token_file"):
        assert mode_of(described[name]) == 0o600


@pytest.mark.parametrize("kind", ["secret", "certificate", "federated"])
async def test_the_ready_configuration_has_no_problem(tenant, tmp_path, kind):
    credential = {
        "secret": None,
        "certificate": {"certificate_file": str(tenant.certificate_file)},
        "federated": {"federated_token_file": str(tenant.federated_token_file)},
    }[kind]
    file = tmp_path / "postroom.yaml"
    file.write_text(tenant.config_text(credential=credential))
    file.chmod(0o600)
    registry = HandlerRegistry.installed()
    config = await asyncio.to_thread(load, file, registry.load, registry.names())
    assert config.warnings == ()
    raw = yaml.safe_load(file.read_text())
    assert [mailbox["address"] for mailbox in raw["mailboxes"]] == list(tenant.mailboxes)
    assert raw["tenant"]["cloud"]["ca_file"] == str(tenant.ca_file)


async def test_without_tls_it_serves_plain_http(tmp_path):
    async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], tls=False, smtp=None) as tenant:
        assert tenant.graph.startswith("http://")
        assert tenant.ca_file is None
        assert tenant.smtp == ""
        async with aiohttp.ClientSession() as client:
            headers = await sign_in(tenant, client)
            async with client.get(f"{tenant.graph}/v1.0/users/{ADDRESS}/mailFolders", headers=headers) as response:
                assert response.status == 200


async def test_a_port_that_is_taken_is_named_with_what_to_do(tenant, tmp_path):
    place = tenant.graph.removeprefix("https://")
    with pytest.raises(PostroomError, match=rf"Cannot listen on {place}: Address already in use\..*port 0"):
        async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS], listen=place):
            pass


async def test_a_start_that_fails_halfway_gives_back_what_it_took(tenant, tmp_path):
    (tmp_path / "second").mkdir()
    second = SimulatedTenant(tmp_path / "second", mailboxes=[ADDRESS], smtp=tenant.smtp)
    with pytest.raises(PostroomError):
        await second.__aenter__()
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as client, client.get(second.graph):
            pass


async def test_stopping_does_not_wait_for_idle_clients(tmp_path):
    async with asyncio.timeout(5):
        async with SimulatedTenant(tmp_path, mailboxes=[ADDRESS]) as tenant:
            client = session(tenant)
            await sign_in(tenant, client)
        await client.close()
