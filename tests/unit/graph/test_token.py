from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import replace
from types import SimpleNamespace

import jwt
import pytest
import requests
from aiohttp import web
from cryptography.hazmat.primitives.hashes import SHA256

from postroom.errors import AuthError, Forbidden
from postroom.graph.client import GraphClient
from postroom.graph.login_http import LoginHttp
from postroom.graph.token import YOUNG, TokenSource, tenant_of
from postroom.tenant import Certificate, ClientSecret, FederatedToken, ManagedIdentity, Secret


@pytest.fixture
async def source(login, ca_file, kit):
    """Make token sources for a credential; they are closed at the end."""
    made = []

    def make(credential=None, **options):
        tenant = kit.tenant_at("https://graph.invalid", login.url, ca_file=ca_file, credential=credential)
        clock = kit.real_clock()
        token = TokenSource(tenant, clock=clock, **{"timeout": 5.0, **options})
        token.test_clock = clock
        made.append(token)
        return token

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def files(tmp_path, other_certificate):
    """Where a certificate file is written, and a certificate that is not the app's."""
    path = tmp_path / "app.pem"

    def write(content):
        path.write_bytes(content)
        return path

    return SimpleNamespace(path=path, write=write, other=other_certificate)


@pytest.mark.parametrize(
    ("claims", "guid"), [({"tid": "AAAA-1"}, "aaaa-1"), ({"tid": 7}, ""), ({"aud": "ä" * 5}, ""), (None, "")]
)
def test_a_token_tells_of_which_tenant_it_is_where_it_can_be_read(claims, guid):
    token = "opaque.." if claims is None else jwt.encode(claims, "key" * 20)
    assert tenant_of(f"Bearer {token}") == guid
    assert tenant_of(token.replace(".", "")) == ""


async def test_a_secret_signs_in_and_asks_for_the_default_scope(source, login):
    token = source()
    assert (await token.header()).startswith("Bearer ey")
    (form,) = login.forms
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "https://graph.invalid/.default"
    assert form["client_secret"] == "s3cret"
    assert form["client_id"] == "app-1"


async def test_the_token_is_used_until_near_its_end(source, login):
    token = source()
    header = await token.header()
    token.test_clock.ahead = 3000
    assert await token.header() == header
    assert len(login.forms) == 1
    assert 3500 < (token.expires_at - token.test_clock.now()).total_seconds() + 3000 <= 3600


async def test_many_callers_share_one_sign_in(source, login):
    token = source()
    headers = await asyncio.gather(*(token.header() for _ in range(20)))
    assert len(set(headers)) == 1
    assert len(login.forms) == 1
    assert login.discoveries == 1


async def test_many_callers_share_one_failure(source, login, kit):
    token = source()
    login.script = [kit.aadsts(7000222, "expired", "invalid_client")]
    errors = await asyncio.gather(*(token.header() for _ in range(20)), return_exceptions=True)
    assert {each.code for each in errors} == {"AADSTS7000222"}
    assert len(login.forms) == 1


async def test_a_cancelled_caller_does_not_take_the_sign_in_with_it(source, login):
    token = source()
    login.gate = asyncio.Event()
    first = asyncio.create_task(token.header())
    second = asyncio.create_task(token.header())
    await login.asked.wait()
    first.cancel()
    login.gate.set()
    assert (await second).startswith("Bearer ")
    assert len(login.forms) == 1


async def test_near_its_end_a_token_is_renewed_behind_the_scenes(source, login):
    token = source()
    old = await token.header()
    token.test_clock.ahead = 3400
    assert await token.header() == old, "nobody waits for the renewal"
    await token.refresh()
    assert await token.header() != old
    assert len(login.forms) == 2


async def test_a_failing_refresh_keeps_the_valid_token(source, login, kit):
    token = source()
    old = await token.header()
    token.test_clock.ahead = 3400
    login.script = [kit.raw(b"{}", 503, "application/json")] * 5
    with pytest.raises(AuthError) as caught:
        await token.refresh()
    assert caught.value.temporary
    assert await token.header() == old
    token.test_clock.ahead = 3700
    with pytest.raises(AuthError):
        await token.header()


async def test_a_failing_background_renewal_is_no_concern_while_the_token_is_valid(source, login, kit):
    token = source()
    old = await token.header()
    token.test_clock.ahead = 3400
    login.script = [kit.aadsts(90033, "transient", "temporarily_unavailable")]
    assert await token.header() == old
    with pytest.raises(AuthError):
        await token.refresh()  # joins the renewal that has begun
    assert await token.header() == old
    assert len(login.forms) == 2


async def test_a_token_refused_soon_after_another_was_dropped_is_kept(source, login):
    token = source()
    token.drop(await token.header())
    second = await token.header()
    token.drop(second)
    token.test_clock.ahead = YOUNG / 2
    token.drop(second)
    assert await token.header() == second
    assert len(login.forms) == 2


async def test_many_mailboxes_that_refuse_the_token_share_one_sign_in(source, login, graph, kit):
    token = source()
    graph.default = kit.failure(401, "InvalidAuthenticationToken")
    async with GraphClient(kit.tenant_at(graph.url), token, clock=token.test_clock) as client:
        calls = [
            replace(kit.call(f"{graph.url}/v1.0/users/{n}"), mailbox=f"box-{n}@contoso.example") for n in range(50)
        ]
        errors = await asyncio.gather(*(client.fetch(each) for each in calls), return_exceptions=True)
    assert {type(each) for each in errors} == {Forbidden}
    assert len(login.forms) == 2
    assert len(graph.seen) == 100


async def test_a_refused_token_is_forgotten_and_another_is_not(source, login):
    token = source()
    old = await token.header()
    token.drop("Bearer something else")
    token.test_clock.ahead = YOUNG
    token.drop("Bearer something else")
    assert await token.header() == old
    token.drop(old)
    assert await token.header() != old
    assert len(login.forms) == 2


@pytest.mark.parametrize("form", ["key own", "own key", "other own key", "locked own"])
async def test_a_pem_file_signs_in_with_ps256(source, login, files, app_certificate, form):
    locked = app_certificate.encrypted_key_pem("pass phrase")
    parts = {"key": app_certificate.key_pem, "own": app_certificate.pem, "other": files.other.pem, "locked": locked}
    phrase = Secret("pass phrase" if "locked" in form else "")
    token = source(Certificate(files.write(b"".join(parts[name] for name in form.split())), phrase))
    await token.header()
    (form,) = login.forms
    check_assertion(form, app_certificate, login)
    assert "x5c" not in jwt.get_unverified_header(form["client_assertion"])


@pytest.mark.parametrize("phrase", ["", "pass phrase"])
async def test_a_pfx_file_signs_in_and_sends_its_chain_when_told(source, login, tmp_path, app_certificate, phrase):
    file = tmp_path / "app.pfx"
    file.write_bytes(app_certificate.pfx(phrase))
    token = source(Certificate(file, Secret(phrase), send_chain=True))
    await token.header()
    (form,) = login.forms
    check_assertion(form, app_certificate, login)
    assert len(jwt.get_unverified_header(form["client_assertion"])["x5c"]) == 1


def check_assertion(form, issued, login):
    assertion = form["client_assertion"]
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert "client_secret" not in form
    header = jwt.get_unverified_header(assertion)
    thumbprint = base64.urlsafe_b64encode(issued.certificate.fingerprint(SHA256())).rstrip(b"=").decode()
    assert (header["alg"], header["typ"], header["x5t#S256"]) == ("PS256", "JWT", thumbprint)
    endpoint = f"{login.url}/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"
    claims = jwt.decode(assertion, issued.certificate.public_key(), algorithms=["PS256"], audience=endpoint)
    assert claims["iss"] == claims["sub"] == "app-1"
    assert claims["exp"] - claims["nbf"] <= 600
    assert claims["jti"]


async def test_a_federated_token_is_read_again_for_each_assertion(source, login, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    token = source(FederatedToken(file))
    await token.header()
    file.write_text("second")
    await token.refresh()
    assert [form["client_assertion"] for form in login.forms] == ["first", "second"]
    assert login.discoveries == 1


async def test_a_changed_secret_file_takes_effect_at_once(source, login, tmp_path):
    file = tmp_path / "secret"
    file.write_text("wrong\n")
    token = source(ClientSecret(Secret(file=file)))
    with pytest.raises(AuthError):
        await token.header()
    file.write_text("s3cret\n")
    await token.refresh()
    assert (await token.header()).startswith("Bearer ")


async def test_a_changed_certificate_file_takes_effect(source, login, tmp_path, app_certificate, other_certificate):
    file = tmp_path / "app.pem"
    file.write_bytes(other_certificate.key_pem + other_certificate.pem)
    token = source(Certificate(file))
    await token.header()
    file.write_bytes(app_certificate.key_pem + app_certificate.pem)
    await token.refresh()
    check_assertion(login.forms[1], app_certificate, login)


async def test_a_wrong_secret_names_the_code_and_the_remedy(source):
    token = source(ClientSecret(Secret("not-the-secret")))
    with pytest.raises(AuthError) as caught:
        await token.header()
    error = caught.value
    assert error.code == "AADSTS7000215"
    assert "AADSTS7000215" in error.message
    assert "Secret ID" in error.remedy
    assert error.trace_id == "trace-1"
    assert error.fields["correlation_id"] == "corr-1"
    assert not error.temporary
    assert "not-the-secret" not in str(error)


async def test_failures_are_not_repeated_to_entra_by_every_mailbox(source, login):
    token = source(ClientSecret(Secret("wrong")))
    for _ in range(5):
        with pytest.raises(AuthError):
            await token.header()
    assert len(login.forms) == 1


async def test_a_login_host_in_trouble_is_not_asked_by_every_mailbox(source, login, kit):
    login.discovery_script = [kit.raw(b"{}", 503, "application/json")] * 9
    token = source()
    for _ in range(5):
        with pytest.raises(AuthError):
            await token.header()
    assert login.discoveries == 1
    token.test_clock.ahead = 6
    with pytest.raises(AuthError):
        await token.header()
    assert login.discoveries == 2


async def test_each_request_to_the_login_host_has_its_own_time_limit(login, ca_file, kit):
    login.gate = asyncio.Event()
    tenant = kit.tenant_at("https://graph.invalid", login.url, ca_file=ca_file)
    with LoginHttp(tenant, 0.1, threading.Event()) as http, pytest.raises(requests.exceptions.Timeout):
        await asyncio.to_thread(http.post, f"{login.url}/x/oauth2/v2.0/token", data={"a": "b"})
    login.gate.set()


async def test_an_unknown_tenant_is_found_in_the_discovery_answer(source, login, kit):
    login.discovery_script = [kit.aadsts(90002, "Tenant not found.", "invalid_tenant")]
    with pytest.raises(AuthError) as caught:
        await source().header()
    assert caught.value.code == "AADSTS90002"
    assert "tenant_id" in caught.value.remedy


async def test_after_a_failed_discovery_the_next_sign_in_starts_afresh(source, login, kit):
    token = source()
    login.discovery_script = [kit.raw(b"{}", 503, "application/json")]
    with pytest.raises(AuthError) as caught:
        await token.header()
    assert (caught.value.code, caught.value.temporary) == ("unreachable", True)
    await token.refresh()
    assert await token.header()


async def test_a_server_error_with_entras_words_keeps_them(source, login, kit):
    login.script = [kit.aadsts(90033, "A transient error.", "temporarily_unavailable", status=503)]
    with pytest.raises(AuthError) as caught:
        await source().header()
    assert (caught.value.code, caught.value.temporary) == ("AADSTS90033", True)


async def test_a_login_portal_is_told_from_entra(source, login, kit, caplog):
    login.script = [kit.raw(b"<html>Welcome to the hotel</html>")]
    with pytest.raises(AuthError) as caught:
        await source().header()
    assert (caught.value.code, caught.value.temporary) == ("unreachable", True)
    assert "proxy" in caught.value.remedy
    assert "hotel" not in caplog.text


async def test_a_host_that_cannot_be_reached_is_temporary(kit, ca_file):
    tenant = kit.tenant_at("https://graph.invalid", "https://127.0.0.1:1", ca_file=ca_file)
    token = TokenSource(tenant, clock=kit.real_clock(), timeout=2.0)
    with pytest.raises(AuthError) as caught:
        await token.header()
    assert (caught.value.code, caught.value.temporary) == ("unreachable", True)
    await token.close()


async def test_an_untrusted_certificate_says_what_to_configure(kit, login):
    token = TokenSource(kit.tenant_at("https://graph.invalid", login.url), clock=kit.real_clock(), timeout=2.0)
    with pytest.raises(AuthError) as caught:
        await token.header()
    assert "ca_file" in caught.value.remedy
    assert not caught.value.temporary
    await token.close()


async def test_a_missing_ca_file_is_an_auth_error(kit, login, tmp_path):
    tenant = kit.tenant_at("https://graph.invalid", login.url, ca_file=tmp_path / "missing.pem")
    token = TokenSource(tenant, clock=kit.real_clock(), timeout=2.0)
    with pytest.raises(AuthError) as caught:
        await token.header()
    assert "missing.pem" in str(caught.value)
    await token.close()


async def test_plain_http_is_refused_for_sign_in(kit):
    token = TokenSource(kit.tenant_at("https://graph.invalid", "http://127.0.0.1:1"), clock=kit.real_clock())
    with pytest.raises(AuthError) as caught:
        await token.header()
    assert "https" in str(caught.value)
    await token.close()


async def test_a_silent_login_host_ends_by_the_time_limit(source, login):
    login.gate = asyncio.Event()
    token = source(timeout=0.1)
    with pytest.raises(AuthError) as caught:
        await token.header()
    login.gate.set()
    assert (caught.value.code, caught.value.temporary) == ("unreachable", True)


async def test_the_environment_does_not_steer_sign_in(source, login, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert await source().header(), "loopback is never asked for by proxy"


async def test_claims_can_be_read_for_diagnosis(source):
    claims = await source().claims()
    assert claims["roles"] == ["Mail.Read"]


async def test_an_opaque_token_has_no_claims(source, login):
    login.script = [lambda request: web.json_response({"access_token": "opaque", "expires_in": 3600})]
    assert await source().claims() == {}


BAD_FILES = {
    "missing": None,
    "empty": b"",
    "garbage": b"\x00\x01garbage",
    "pem without key": "certificate",
    "pem without certificate": "key",
    "key of another": "mismatch",
    "torn pem": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "wrong passphrase": "pfx",
    "encrypted key": "encrypted",
}


@pytest.mark.parametrize("case", BAD_FILES)
async def test_a_bad_certificate_file_is_an_auth_error_with_a_remedy(source, login, files, app_certificate, case):
    content = {
        "certificate": app_certificate.pem,
        "key": app_certificate.key_pem,
        "mismatch": app_certificate.key_pem + files.other.pem,
        "pfx": app_certificate.pfx("right"),
        "encrypted": app_certificate.encrypted_key_pem("right") + app_certificate.pem,
    }.get(BAD_FILES[case], BAD_FILES[case])
    file = files.path if content is None else files.write(content)
    with pytest.raises(AuthError) as caught:
        await source(Certificate(file, Secret("wrong") if case == "wrong passphrase" else Secret())).header()
    assert str(file) in str(caught.value)
    assert caught.value.remedy
    assert caught.value.code == "credential"
    assert login.forms == []


@pytest.mark.parametrize("kind", [lambda file: ClientSecret(Secret(file=file)), FederatedToken])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
async def test_a_bad_secret_or_federated_token_file_is_an_auth_error(source, tmp_path, kind, content):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AuthError) as caught:
        await source(kind(file)).header()
    assert (caught.value.code, str(file) in str(caught.value)) == ("credential", True)


@pytest.fixture
async def identity_host(kit, monkeypatch):
    """A host's identity endpoint (IMDS) on loopback."""
    seen, script = [], []

    async def handle(request):
        seen.append((dict(request.query), dict(request.headers)))
        if script:
            return script.pop(0)(request)
        return web.json_response({"access_token": f"mi-{len(seen)}", "expires_in": "3600", "token_type": "Bearer"})

    async with kit.serving(handle) as port:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{port}")
        yield seen, script


@pytest.mark.parametrize("client_id", ["", "user-assigned-1"])
async def test_a_managed_identity_signs_in_without_any_proxy(source, identity_host, monkeypatch, client_id):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    token = source(ManagedIdentity(client_id))
    assert await token.header() == "Bearer mi-1"
    ((query, headers),) = identity_host[0]
    assert query["resource"] == "https://graph.invalid"
    assert query.get("client_id", "") == client_id
    assert headers["Metadata"] == "true"


async def test_a_busy_identity_endpoint_is_asked_again(source, identity_host, kit, monkeypatch):
    monkeypatch.setattr("postroom.graph.login_http.IMDS_PAUSES", (0.0, 0.0))
    seen, script = identity_host
    script += [kit.raw(b"", 404), kit.raw(b"{}", 429, "application/json")]
    assert await source(ManagedIdentity()).header() == "Bearer mi-3"
    assert len(seen) == 3


async def test_an_identity_the_host_does_not_have_is_explained(source, identity_host):
    _, script = identity_host
    refused = {"error": "invalid_request", "error_description": "Identity not found"}
    script += [lambda request: web.json_response(refused, status=400)]
    with pytest.raises(AuthError) as caught:
        await source(ManagedIdentity()).header()
    assert "managed identity" in str(caught.value)
    assert not caught.value.temporary
