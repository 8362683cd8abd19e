"""Each way to prove the app signs in, through `postroom token` and `postroom run`; each wrong one says what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from postroom.simulator.entra import ClientSecret, Federation
from postroom.simulator.server import SimulatedTenant
from postroom.simulator.tls import make_client_certificate, write_private
from support.command import command, daemon, invoke

KINDS = ("secret", "secret_file", "pem", "pfx", "federated")
MAILBOXES = {kind: f"{kind}@contoso.example" for kind in KINDS}


@pytest.fixture
async def tenant(tmp_path):
    (tmp_path / "tenant").mkdir()
    async with SimulatedTenant(
        tmp_path / "tenant", mailboxes=[*MAILBOXES.values()], smtp=None, token_lifetime=3600
    ) as running:
        yield running


def private(path, text):
    write_private(path, text.encode())
    return path


def section(tenant, credential, **changed):
    """A tenant in the configuration, as JSON, which is YAML."""
    settings = {
        "cloud": {"login": tenant.login, "graph": tenant.graph, "ca_file": str(tenant.ca_file)},
        "tenant_id": tenant.tenant_id,
        "client_id": tenant.client_id,
        "credential": credential,
    }
    return {**settings, **changed}


def write(path, tenants, log="info"):
    """A configuration of several tenants, each with a mailbox named after it."""
    mailboxes = [
        {
            "address": f"{name}@contoso.example",
            "tenant": name,
            "poll": "1s",
            "start": "all",
            "rules": [{"handle": "log"}],
        }
        for name in tenants
    ]
    config = {"tenants": tenants, "journal": "sqlite:///journal.db", "log": {"level": log}, "mailboxes": mailboxes}
    return private(path, json.dumps(config))


@pytest.fixture
def right(tenant, tmp_path):
    """Every credential that is right."""
    return {
        "secret": section(tenant, {"client_secret": tenant.client_secret}),
        "secret_file": section(
            tenant, {"client_secret_file": str(private(tmp_path / "secret", tenant.client_secret + "\n"))}
        ),
        "pem": section(tenant, {"certificate_file": str(tenant.certificate_file)}),
        "pfx": section(tenant, {"certificate_file": str(tenant.pfx_file), "passphrase": tenant.pfx_passphrase}),
        "federated": section(tenant, {"federated_token_file": str(tenant.federated_token_file)}),
    }


@pytest.fixture
def wrong(tenant, tmp_path):
    """Credentials that are wrong, each with the code that Entra or we give and a word of the remedy."""
    now = datetime.now(UTC)
    tenant.app.secrets.append(ClientSecret("expired-secret", now - timedelta(days=1)))
    foreign = Federation("https://elsewhere.example/").token("system:serviceaccount:a:b", now=now)
    unregistered = write_private(tmp_path / "other.pem", make_client_certificate("other", now).pem())
    secret = {"client_secret": tenant.client_secret}
    nobody = "00000000-0000-0000-0000-000000000001"
    return {
        "wrong": (section(tenant, {"client_secret": "wrong-secret"}), "AADSTS7000215", "Value, not its Secret ID"),
        "expired": (section(tenant, {"client_secret": "expired-secret"}), "AADSTS7000222", "new client secret"),
        "unregistered": (section(tenant, {"certificate_file": str(unregistered)}), "AADSTS700027", "Upload"),
        "passphrase": (
            section(tenant, {"certificate_file": str(tenant.pfx_file), "passphrase": "wrong-phrase"}),
            "passphrase is wrong",
            "valid file",
        ),
        "foreign": (
            section(tenant, {"federated_token_file": str(private(tmp_path / "foreign", foreign))}),
            "AADSTS700211",
            "federated credentials",
        ),
        "nowhere": (section(tenant, secret, tenant_id=nobody), "AADSTS90002", "Check tenant_id and cloud"),
        "nobody": (section(tenant, secret, client_id=nobody), "AADSTS700016", "Check client_id"),
    }


def secrets_of(tenant):
    """What no output may hold."""
    key = tenant.certificate_file.read_text().splitlines()[1:3]
    token = tenant.federated_token_file.read_text()
    return [tenant.client_secret, tenant.pfx_passphrase, "wrong-secret", "expired-secret", "wrong-phrase", token, *key]


def assert_discreet(tenant, text):
    assert not [secret for secret in secrets_of(tenant) if secret in text]


async def test_every_credential_signs_in_and_token_shows_what_it_may(tenant, right, tmp_path):
    ended = await invoke("token", "-c", write(tmp_path / "postroom.yaml", right), "--json")
    assert ended.code == 0, ended.err
    shown = {each["tenant"]: each for each in ended.json}
    assert list(shown) == list(KINDS)
    for each in shown.values():
        assert each["roles"] == ["Mail.ReadWrite", "Mail.Send"]
        assert (each["app_id"], each["tenant_id"]) == (tenant.client_id, tenant.tenant_id)
        assert len(each["token"]) < 20
    assert_discreet(tenant, ended.text)


async def test_every_wrong_credential_is_refused_with_its_code_and_the_remedy(tenant, wrong, tmp_path):
    config = write(tmp_path / "postroom.yaml", {name: each for name, (each, _, _) in wrong.items()})
    ended = await invoke("token", "-c", config)
    assert ended.code == 77
    told = dict(zip(wrong, ended.err.split("error: ")[1:], strict=True))
    for name, (_, code, remedy) in wrong.items():
        assert code in told[name]
        assert remedy in told[name].partition("what to do: ")[2]
    assert_discreet(tenant, ended.text)


async def test_the_daemon_works_with_every_credential_at_once(tenant, right, tmp_path):
    for address in MAILBOXES.values():
        tenant.deliver(address, b"From: a@b.example\r\nSubject: hello\r\n\r\nThe text of a mail.\r\n")
    async with daemon(write(tmp_path / "postroom.yaml", right, log="debug")) as running:
        for address in MAILBOXES.values():
            await running.err.event("mail", mailbox=address)
        assert await running.stopped() == 0
    assert_discreet(tenant, running.text)
    assert "eyJ" not in running.text
    assert "The text of a mail" not in running.text


async def test_the_daemon_does_not_start_with_a_wrong_credential_and_says_why(tenant, wrong, tmp_path):
    refused, code, remedy = wrong["wrong"]
    ended = await command("run", "-c", write(tmp_path / "postroom.yaml", {"wrong": refused}))
    assert ended.code == 77
    told = json.loads(ended.err.splitlines()[-1])
    assert (told["level"], told["event"], told["subject"]) == ("error", "problem", "daemon")
    assert code in told["what"]
    assert remedy in told["remedy"]
    assert_discreet(tenant, ended.text)


async def test_a_granular_scope_is_refused_with_the_reason(tenant, tmp_path):
    granular = section(tenant, {"client_secret": tenant.client_secret}, scope=f"{tenant.graph}/Mail.Read")
    config = write(tmp_path / "postroom.yaml", {"secret": granular})
    told = [await invoke("token", "-c", config), await invoke("check", "-c", config)]
    for ended in (*told, await command("run", "-c", config)):
        assert ended.code == 78
        assert f"write {tenant.graph}/.default" in ended.text
        assert "may ask for no single ones" in ended.text


async def test_changed_files_take_effect_without_a_restart(tenant, right, tmp_path):
    """The secret, the certificate and the federated token are replaced; then Entra takes the old ones no more."""
    kinds = ("secret_file", "pem", "federated")
    async with daemon(write(tmp_path / "postroom.yaml", {kind: right[kind] for kind in kinds})) as running:
        renewed = make_client_certificate("renewed", datetime.now(UTC))
        replace(tmp_path / "secret", b"the-new-secret")
        replace(tenant.certificate_file, renewed.pem())
        tenant.identity.write_federated_token(datetime.now(UTC) + timedelta(seconds=1))
        tenant.app.secrets[:] = [ClientSecret("the-new-secret")]
        tenant.app.certificates[:] = [renewed.certificate]
        tenant.app.tokens_valid_from = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for kind in kinds:
            tenant.deliver(MAILBOXES[kind], b"From: a@b.example\r\nSubject: after\r\n\r\nHello.\r\n")
        for kind in kinds:
            await running.err.event("mail", mailbox=MAILBOXES[kind])
        assert await running.stopped() == 0


def replace(path, content):
    write_private(path.with_suffix(".new"), content)
    path.with_suffix(".new").replace(path)


class Identity(BaseHTTPRequestHandler):
    """The identity endpoint that App Service gives a host (app-service overview-managed-identity docs)."""

    def do_GET(self):
        known = self.headers.get("X-IDENTITY-HEADER") == "host-secret"
        self.server.asked.append(self.path)
        body = self.server.token if known else {"error": "Unauthorized"}
        content = json.dumps(body).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def identity_endpoint(tenant):
    with ThreadingHTTPServer(("127.0.0.1", 0), Identity) as server:
        now = datetime.now(UTC)
        claims = {"aud": tenant.graph, "iss": f"{tenant.login}/{tenant.tenant_id}/", "appid": tenant.client_id}
        times = {"iat": int(now.timestamp()), "nbf": int(now.timestamp()), "exp": int(now.timestamp()) + 3600}
        token = tenant.entra.signer.sign({**claims, **times, "tid": tenant.tenant_id, "roles": ["Mail.ReadWrite"]})
        server.token = {"access_token": token, "expires_on": str(times["exp"]), "token_type": "Bearer"}
        server.asked = []
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


async def test_a_managed_identity_signs_in_where_the_host_has_one(tenant, identity_endpoint, tmp_path, monkeypatch):
    cloud = {"login": tenant.login, "graph": tenant.graph, "ca_file": str(tenant.ca_file)}
    config = write(
        tmp_path / "postroom.yaml", {"secret": {"cloud": cloud, "credential": {"managed_identity": True}}}, log="debug"
    )
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{identity_endpoint.server_port}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "host-secret")
    shown = await invoke("token", "-c", config, "--json")
    assert shown.json["roles"] == ["Mail.ReadWrite"], shown.err
    tenant.deliver(MAILBOXES["secret"], b"From: a@b.example\r\nSubject: hello\r\n\r\nHello.\r\n")
    async with daemon(config) as running:
        await running.err.event("mail")
        assert await running.stopped() == 0
    assert "host-secret" not in running.text
    assert all("resource=" in asked for asked in identity_endpoint.asked)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    refused = await invoke("token", "-c", config)
    assert refused.code == 77
    assert "managed identity" in refused.err
