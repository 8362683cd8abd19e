"""The simulated Entra over real HTTPS, signed in to by hand: every credential, and every refusal's number."""

from __future__ import annotations

import base64
import functools
import ssl
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from postroom.simulator.entra import ClientSecret, Entra, entra_routes
from postroom.simulator.identity import SUBJECT, Identity, add_tenant, register, register_app
from postroom.simulator.listen import Place, bind
from postroom.simulator.tls import make_authority, make_client_certificate, server_context, write_private

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@functools.cache
def stranger():
    return make_client_certificate("stranger", START, rsa.generate_private_key(public_exponent=65537, key_size=2048))


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Login:
    """A running Entra and a client of it."""

    base: str
    entra: Entra
    identity: Identity
    clock: Clock
    client: aiohttp.ClientSession

    @property
    def endpoint(self) -> str:
        return f"{self.base}/{self.identity.tenant_id}/oauth2/v2.0/token"

    async def ask(self, *, tenant: str = "", headers=None, **form) -> tuple[int, dict]:
        url = f"{self.base}/{tenant or self.identity.tenant_id}/oauth2/v2.0/token"
        whole = {
            "grant_type": "client_credentials",
            "client_id": self.identity.client_id,
            "scope": f"{self.base}/.default",
            **form,
        }
        sent = {name: value for name, value in whole.items() if value is not None}
        async with self.client.post(url, data=sent, headers=headers) as response:
            return response.status, await response.json()

    async def with_secret(self, secret: str | None = None, **form) -> tuple[int, dict]:
        return await self.ask(client_secret=secret or self.identity.client_secret, **form)

    async def with_assertion(self, token: str, **form) -> tuple[int, dict]:
        return await self.ask(client_assertion=token, client_assertion_type=JWT_BEARER, **form)

    def assertion(self, key, certificate, *, alg="PS256", thumbprint="x5t#S256", x5c=None, **claims) -> str:
        digest = hashes.SHA256() if thumbprint == "x5t#S256" else hashes.SHA1()
        value = base64.urlsafe_b64encode(certificate.fingerprint(digest)).rstrip(b"=").decode()
        now = int(self.clock().timestamp())
        payload = {
            "aud": self.endpoint,
            "iss": self.identity.client_id,
            "sub": self.identity.client_id,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            **claims,
        }
        headers = {thumbprint: value} | ({} if x5c is None else {"x5c": x5c})
        return jwt.encode(payload, key, algorithm=alg, headers=headers)

    def own_assertion(self, **options) -> str:
        pem = self.identity.certificate_file.read_bytes()
        return self.assertion(load_pem_private_key(pem, None), self.identity.app.certificates[0], **options)

    def foreign_token(self, subject: str = SUBJECT, **options) -> str:
        return self.identity.federation.token(subject, now=self.clock(), **options)


@pytest.fixture
async def login(tmp_path: Path) -> AsyncIterator[Login]:
    clock, authority = Clock(), make_authority()
    server = write_private(tmp_path / "server.pem", authority.server_pem(["127.0.0.1"]))
    sock = bind(Place("127.0.0.1", 0))
    base = f"https://127.0.0.1:{sock.getsockname()[1]}"
    entra, identity = await register(
        tmp_path,
        login=base,
        resources=[base],
        clock=clock,
        token_lifetime=3599,
        roles=["Mail.ReadWrite", "Mail.Send"],
        domains=["contoso.example"],
    )
    application = web.Application()
    application.add_routes(entra_routes(entra))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, sock, ssl_context=server_context(server)).start()
    trust = ssl.create_default_context(cadata=authority.pem().decode())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client:
        yield Login(base, entra, identity, clock, client)
    await runner.cleanup()


def refused(answer: tuple[int, dict], status: int, error: str, code: int) -> bool:
    assert answer[1]["error_description"].startswith(f"AADSTS{code}: ")
    return (answer[0], answer[1]["error"], answer[1]["error_codes"]) == (status, error, [code])


def claims_of(answer: tuple[int, dict]) -> dict:
    assert answer[0] == 200, answer
    return jwt.decode(answer[1]["access_token"], options={"verify_signature": False})


# Sign-in that works


async def test_the_right_secret_signs_in(login):
    status, answer = await login.with_secret()
    assert status == 200
    assert (answer["token_type"], answer["expires_in"], answer["ext_expires_in"]) == ("Bearer", 3599, 3599)
    assert "refresh_in" not in answer


async def test_a_secret_may_come_by_http_basic(login):
    headers = {"Authorization": aiohttp.encode_basic_auth(login.identity.client_id, login.identity.client_secret)}
    assert claims_of(await login.ask(headers=headers, client_id=None))["appid"] == login.identity.client_id


async def test_a_domain_of_the_tenant_names_it_as_well_as_its_id(login):
    assert claims_of(await login.with_secret(tenant="contoso.example"))["tid"] == login.identity.tenant_id


@pytest.mark.parametrize(("alg", "thumbprint"), [("PS256", "x5t#S256"), ("RS256", "x5t")])
async def test_a_certificate_signs_in_by_either_thumbprint(login, alg, thumbprint):
    answer = await login.with_assertion(login.own_assertion(alg=alg, thumbprint=thumbprint))
    assert claims_of(answer)["appidacr"] == "2"


async def test_the_key_of_the_pfx_signs_in(login):
    key, certificate, _ = pkcs12.load_key_and_certificates(
        login.identity.pfx_file.read_bytes(), login.identity.pfx_passphrase.encode()
    )
    assert claims_of(await login.with_assertion(login.assertion(key, certificate)))["idtyp"] == "app"


async def test_a_second_registered_certificate_signs_in_too(login):
    login.identity.app.certificates.append(stranger().certificate)
    for token in (login.own_assertion(), login.assertion(stranger().key, stranger().certificate)):
        assert (await login.with_assertion(token))[0] == 200


async def test_the_ready_federated_token_signs_in(login):
    token = login.identity.federated_token_file.read_text()
    assert claims_of(await login.with_assertion(token))["appid"] == login.identity.client_id


async def test_a_token_says_who_for_what_and_how_long(login):
    claims = claims_of(await login.with_secret())
    now = int(login.clock().timestamp())
    assert claims["aud"] == login.base
    assert claims["tid"] == login.identity.tenant_id
    assert claims["roles"] == ["Mail.ReadWrite", "Mail.Send"]
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (now, now, now + 3599)
    assert claims["iss"].startswith(login.base)


async def test_an_app_without_consent_gets_a_token_without_roles(login):
    login.identity.app.roles = frozenset()
    assert "roles" not in claims_of(await login.with_secret())


async def test_a_long_token_says_when_to_refresh_it(login):
    login.entra.token_lifetime = 86_400
    assert (await login.with_secret())[1]["refresh_in"] == 43_200


# Refusals


async def test_a_refusal_has_every_field_of_the_real_one(login):
    status, answer = await login.with_secret("wrong", headers={"client-request-id": "11111111-2222"})
    assert status == 401
    assert set(answer) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }
    assert answer["correlation_id"] == "11111111-2222"
    for part in ("Trace ID: " + answer["trace_id"], "Correlation ID: 1111", "Timestamp: 2026-03-02 09:00:00Z"):
        assert part in answer["error_description"]
    assert answer["error_uri"] == f"{login.base}/error?code=7000215"


async def test_no_refusal_repeats_the_secret(login):
    _, answer = await login.with_secret("hunter2-hunter2")
    assert "hunter2" not in str(answer)


async def test_a_wrong_secret_is_7000215(login):
    assert refused(await login.with_secret("wrong"), 401, "invalid_client", 7000215)


async def test_a_secret_that_expired_is_7000222_and_worked_before(login):
    login.identity.app.secrets.append(ClientSecret("short", login.clock() + timedelta(hours=1)))
    assert (await login.with_secret("short"))[0] == 200
    login.clock.now += timedelta(hours=1)
    assert refused(await login.with_secret("short"), 401, "invalid_client", 7000222)


async def test_an_unknown_tenant_is_90002(login):
    answer = await login.with_secret(tenant=str(uuid.uuid4()))
    assert refused(answer, 400, "invalid_request", 90002)


async def test_a_tenant_that_is_neither_id_nor_domain_is_900023(login):
    assert refused(await login.with_secret(tenant="my tenant"), 400, "invalid_request", 900023)


async def test_client_credentials_at_common_are_50059(login):
    assert refused(await login.with_secret(tenant="common"), 400, "invalid_request", 50059)


async def test_an_unknown_app_is_700016(login):
    assert refused(await login.with_secret(client_id=str(uuid.uuid4())), 400, "unauthorized_client", 700016)


async def test_no_credential_is_7000218(login):
    assert refused(await login.ask(), 401, "invalid_client", 7000218)


async def test_an_assertion_of_no_type_is_7000218(login):
    assert refused(await login.ask(client_assertion=login.own_assertion()), 401, "invalid_client", 7000218)


async def test_basic_credentials_that_are_no_base64_are_7000218(login):
    answer = await login.ask(headers={"Authorization": "Basic ???"})
    assert refused(answer, 401, "invalid_client", 7000218)


@pytest.mark.parametrize("missing", ["grant_type", "client_id", "scope"])
async def test_a_missing_parameter_is_900144_and_named(login, missing):
    answer = await login.with_secret(**{missing: None})
    assert refused(answer, 400, "invalid_request", 900144)
    assert missing in answer[1]["error_description"]


async def test_another_grant_type_is_70003(login):
    assert refused(await login.with_secret(grant_type="password"), 400, "unsupported_grant_type", 70003)


async def test_a_granular_scope_is_1002012(login):
    answer = await login.with_secret(scope=f"{login.base}/Mail.Read")
    assert refused(answer, 400, "invalid_scope", 1002012)


async def test_two_scopes_are_70011(login):
    answer = await login.with_secret(scope=f"{login.base}/.default openid")
    assert refused(answer, 400, "invalid_scope", 70011)


async def test_a_resource_of_another_cloud_is_500011(login):
    answer = await login.with_secret(scope="https://graph.microsoft.us/.default")
    assert refused(answer, 400, "invalid_resource", 500011)


async def test_a_certificate_that_is_not_registered_is_700027(login):
    answer = await login.with_assertion(login.assertion(stranger().key, stranger().certificate))
    assert refused(answer, 401, "invalid_client", 700027)
    assert "not found" in answer[1]["error_description"]


async def test_a_thumbprint_with_another_key_behind_it_is_700027(login):
    answer = await login.with_assertion(login.assertion(stranger().key, login.identity.app.certificates[0]))
    assert refused(answer, 401, "invalid_client", 700027)


async def test_a_certificate_past_its_end_is_700027(login):
    login.clock.now = login.identity.app.certificates[0].not_valid_after_utc + timedelta(seconds=1)
    assert refused(await login.with_assertion(login.own_assertion()), 401, "invalid_client", 700027)


async def test_an_unsigned_assertion_is_refused(login):
    header, payload, _ = login.own_assertion().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","x5t#S256":"AAAA"}').rstrip(b"=").decode()
    assert (await login.with_assertion(f"{none}.{payload}."))[0] == 401
    assert refused(await login.with_assertion(f"{header}.{payload}."), 401, "invalid_client", 700027)


async def test_an_assertion_keyed_with_the_public_certificate_is_refused(login):
    header = {"x5t#S256": jwt.get_unverified_header(login.own_assertion())["x5t#S256"]}
    token = jwt.encode({"iss": login.identity.client_id}, "s" * 32, algorithm="HS256", headers=header)
    assert refused(await login.with_assertion(token), 401, "invalid_client", 700027)


@pytest.mark.parametrize("shift", [timedelta(minutes=16), timedelta(minutes=-6)])
async def test_an_assertion_out_of_its_time_is_700024(login, shift):
    token = login.own_assertion()
    login.clock.now += shift
    assert refused(await login.with_assertion(token), 401, "invalid_client", 700024)


async def test_a_clock_a_few_minutes_off_is_forgiven(login):
    token = login.own_assertion()
    login.clock.now -= timedelta(minutes=4)
    assert (await login.with_assertion(token))[0] == 200


async def test_an_assertion_for_another_endpoint_is_700023(login):
    answer = await login.with_assertion(
        login.own_assertion(aud="https://login.microsoftonline.com/x/oauth2/v2.0/token")
    )
    assert refused(answer, 401, "invalid_client", 700023)


@pytest.mark.parametrize("claim", ["iss", "sub"])
async def test_an_assertion_in_another_apps_name_is_700021(login, claim):
    answer = await login.with_assertion(login.own_assertion(**{claim: str(uuid.uuid4())}))
    assert refused(answer, 401, "invalid_client", 700021)


@pytest.mark.parametrize("token", ["x", "a.b.c", "é.é.é", "." * 10, "W10.W10.AA"])
async def test_what_is_no_jwt_is_50027(login, token):
    assert refused(await login.with_assertion(token), 400, "invalid_request", 50027)


@pytest.mark.parametrize("end", ["soon", None, True, 1e300])
async def test_an_end_that_is_no_time_is_50027(login, end):
    assert refused(await login.with_assertion(login.own_assertion(exp=end)), 400, "invalid_request", 50027)


async def test_a_foreign_issuer_is_700211(login):
    answer = await login.with_assertion(login.foreign_token(iss="https://cluster.contoso.example"))
    assert refused(answer, 401, "invalid_client", 700211)
    assert "https://cluster.contoso.example'" in answer[1]["error_description"]


async def test_a_foreign_audience_is_700212(login):
    answer = await login.with_assertion(login.foreign_token(aud="api://azureadtokenexchange"))
    assert refused(answer, 401, "invalid_client", 700212)


async def test_a_foreign_subject_is_700213(login):
    assert refused(await login.with_assertion(login.foreign_token("system:other")), 401, "invalid_client", 700213)


async def test_a_foreign_token_signed_by_somebody_else_is_700027(login):
    login.identity.federation._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refused(await login.with_assertion(login.foreign_token()), 401, "invalid_client", 700027)


async def test_a_foreign_token_that_expired_is_700024(login):
    token = login.foreign_token()
    login.clock.now += timedelta(hours=1, minutes=6)
    assert refused(await login.with_assertion(token), 401, "invalid_client", 700024)


async def test_a_foreign_token_for_an_app_without_federation_is_70025(login):
    login.identity.app.federated.clear()
    assert refused(await login.with_assertion(login.foreign_token()), 401, "invalid_client", 70025)


async def test_the_federated_token_file_can_be_rotated(login):
    old = login.identity.federated_token_file.read_text()
    login.clock.now += timedelta(days=40)
    assert refused(await login.with_assertion(old), 401, "invalid_client", 700024)
    login.identity.write_federated_token(login.clock())
    assert (await login.with_assertion(login.identity.federated_token_file.read_text()))[0] == 200


# Discovery


async def test_discovery_leads_to_the_token_endpoint_and_the_keys(login):
    async with login.client.get(
        f"{login.base}/{login.identity.tenant_id}/v2.0/.well-known/openid-configuration"
    ) as response:
        document = await response.json()
    assert document["token_endpoint"] == login.endpoint
    assert document["issuer"] == f"{login.base}/{login.identity.tenant_id}/v2.0"
    async with login.client.get(document["jwks_uri"]) as response:
        keys = jwt.PyJWKSet.from_dict(await response.json())
    token = (await login.with_secret())[1]["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, audience=login.base, options=options)["appid"] == login.identity.client_id


async def test_discovery_of_an_unknown_tenant_is_400_invalid_tenant(login):
    async with login.client.get(f"{login.base}/{uuid.uuid4()}/v2.0/.well-known/openid-configuration") as response:
        assert refused((response.status, await response.json()), 400, "invalid_tenant", 90002)


async def test_instance_discovery_knows_this_host_and_no_other(login):
    url = f"{login.base}/common/discovery/instance"
    mine = {"api-version": "1.1", "authorization_endpoint": f"{login.base}/contoso.example/oauth2/v2.0/authorize"}
    async with login.client.get(url, params=mine) as response:
        document = await response.json()
        assert (
            document["tenant_discovery_endpoint"]
            == f"{login.base}/contoso.example/v2.0/.well-known/openid-configuration"
        )
        assert document["metadata"][0]["aliases"] == [login.base.removeprefix("https://")]
    other = {"authorization_endpoint": "https://evil.example/x/oauth2/v2.0/authorize"}
    async with login.client.get(url, params=other) as response:
        assert refused((response.status, await response.json()), 400, "invalid_instance", 50049)


# The certificate chain in an assertion


def written(certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def issued_by(authority, key):
    """A certificate for an RSA key, signed by an authority rather than by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issued")])
    builder = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=authority.certificate.subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=START - timedelta(days=1),
        not_valid_after=START + timedelta(days=1),
    )
    return builder.sign(authority.key, hashes.SHA256())


async def test_an_assertion_may_carry_its_certificate_even_with_line_breaks(login):
    text = written(login.identity.app.certificates[0])
    for each in (text, "\n".join(text[start : start + 64] for start in range(0, len(text), 64))):
        assert (await login.with_assertion(login.own_assertion(x5c=[each])))[0] == 200


async def test_an_assertion_may_carry_the_chain_up_to_its_authority_leaf_first(login):
    authority, key = make_authority(), stranger().key
    leaf = issued_by(authority, key)
    login.identity.app.certificates.append(leaf)
    chain = [written(leaf), written(authority.certificate)]
    assert (await login.with_assertion(login.assertion(key, leaf, x5c=chain)))[0] == 200
    answer = await login.with_assertion(login.assertion(key, leaf, x5c=chain[::-1]))
    assert refused(answer, 401, "invalid_client", 700027)


async def test_a_chain_that_is_none_or_begins_with_another_certificate_is_700027(login):
    own, other = written(login.identity.app.certificates[0]), written(stranger().certificate)
    for chain in ([other], [other, own], [own, other]):
        answer = await login.with_assertion(login.own_assertion(x5c=chain))
        assert refused(answer, 401, "invalid_client", 700027)


@pytest.mark.parametrize("chain", ["text", [], ["*"], [7], [""], ["AAAA"] * 11, {}])
async def test_a_chain_that_cannot_be_read_is_50027(login, chain):
    answer = await login.with_assertion(login.own_assertion(x5c=chain))
    assert refused(answer, 400, "invalid_request", 50027)


# Apps and tenants that an administrator changes


async def test_a_disabled_app_is_7000112(login):
    login.identity.app.enabled = False
    assert refused(await login.with_secret(), 400, "unauthorized_client", 7000112)


async def test_an_app_may_have_tokens_of_another_lifetime(login):
    login.identity.app.token_lifetime = 60
    status, answer = await login.with_secret()
    assert (status, answer["expires_in"]) == (200, 60)


async def test_an_app_of_one_tenant_is_unknown_in_another(login):
    other = add_tenant(login.entra, ["fabrikam.example"], roles=["Mail.Read"])
    answer = await login.with_secret(other.client_secret, tenant=other.tenant_id, client_id=other.client_id)
    assert claims_of(answer)["tid"] == other.tenant_id
    answer = await login.with_secret(tenant="fabrikam.example")
    assert refused(answer, 400, "unauthorized_client", 700016)
    answer = await login.with_secret(other.client_secret, client_id=other.client_id)
    assert refused(answer, 400, "unauthorized_client", 700016)


async def test_a_second_app_has_its_own_secret_roles_and_end(login):
    expires = login.clock() + timedelta(minutes=5)
    app = register_app(login.entra.directories[0], "Short", roles=["Mail.Read"], expires_at=expires)
    assert claims_of(await login.with_secret(app.client_secret, client_id=app.client_id))["roles"] == ["Mail.Read"]
    assert refused(await login.with_secret(client_id=app.client_id), 401, "invalid_client", 7000215)
    login.clock.now = expires
    answer = await login.with_secret(app.client_secret, client_id=app.client_id)
    assert refused(answer, 401, "invalid_client", 7000222)
