"""What the tests of the Graph adapter stand on: a driven clock, a scripted Graph, a login host with certificates."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from postroom.graph.call import Call
from postroom.graph.client import GraphClient
from postroom.graph.session import Limits
from postroom.tenant import ClientSecret, Cloud, Secret, Tenant

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MAILBOX = "invoices@contoso.example"


class DrivenClock:
    """Time that passes when it is told to, or when somebody sleeps."""

    def __init__(self):
        self.seconds = 1000.0
        self.slept = []

    def now(self):
        return START + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


class RealClock:
    """Time as it is, for what is signed and checked against it."""

    def __init__(self):
        self.ahead = 0.0

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self):
        return time.monotonic() + self.ahead

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class FakeToken:
    """Tokens that are numbered; `dropped` are those refused."""

    def __init__(self):
        self.number = 1
        self.dropped = []

    async def header(self):
        return f"Bearer token-{self.number}"

    async def refresh(self):
        self.number += 1

    def drop(self, header):
        self.dropped.append(header)
        if header == f"Bearer token-{self.number}":
            self.number += 1


@dataclass
class Seen:
    """A request as the scripted Graph got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: Any

    @property
    def json(self):
        return json.loads(self.body)


Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedGraph:
    """A server that answers each request by the next entry of a script, then by `default`."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    script: list[Any] = field(default_factory=list)
    default: Any = None

    @property
    def paths(self):
        return [f"{each.method} {each.path}" for each in self.seen]

    async def handle(self, request):
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), body, id(request.transport)))
        answer = self.script.pop(0) if self.script else self.default
        if callable(answer):
            answer = answer(request)
            if asyncio.iscoroutine(answer):
                answer = await answer
        return answer


def answer(document=None, status=200, **headers):
    """A JSON answer; underscores in header names are dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: web.json_response(document if document is not None else {}, status=status, headers=named)


def failure(status, code, text="", **headers):
    """A Graph error."""
    named = {"request-id": "req-1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    document = {"error": {"code": code, "message": text, "innerError": {"request-id": "req-1"}}}
    return lambda request: web.json_response(document, status=status, headers=named)


def raw(body, status=200, content_type="text/html"):
    """An answer with any body."""
    return lambda request: web.Response(body=body, status=status, content_type=content_type)


def foreign(body=b"", status=200, content_type="text/html"):
    """An answer of something that stands in Graph's place: it has no request-id."""

    def answer(request):
        response = web.Response(body=body, status=status, content_type=content_type)
        response["foreign"] = True
        return response

    return answer


async def stamp(request, response):
    """Put on an answer what Graph puts on each of its own."""
    if "foreign" not in response:
        response.headers.setdefault("request-id", "req-0")


@asynccontextmanager
async def serving(handle: Handle, tls: ssl.SSLContext | None = None, *prepare: Any) -> AsyncIterator[int]:
    """Serve on a free port of this machine; `prepare` are called with each request and its answer."""
    transports = set()

    async def noting(request):
        transports.add(request.transport)
        return await handle(request)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", noting)
    app.on_response_prepare.extend(prepare)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        for transport in transports - {None}:
            transport.abort()  # a TLS connection would else outlive the event loop
        await runner.cleanup()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def clock():
    return DrivenClock()


@pytest.fixture
def token():
    return FakeToken()


@pytest.fixture
async def graph():
    """A scripted Graph on loopback."""
    server = ScriptedGraph(default=answer({"value": []}))
    async with serving(server.handle, None, stamp) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


def tenant_at(graph, login="https://login.invalid", *, ca_file=None, credential=None, proxy=""):
    """A tenant in a cloud of its own."""
    cloud = Cloud("test", login, graph, ca_file=ca_file, known=False)
    tenant_id = "11111111-2222-3333-4444-555555555555"
    return Tenant("default", cloud, tenant_id, "app-1", credential or ClientSecret(Secret("s3cret")), proxy)


def call(url, method="GET", **options):
    """A request for a page of the mailbox."""
    return Call(method, url, MAILBOX, f"reading Inbox of {MAILBOX}", **options)


@pytest.fixture(scope="session")
def kit():
    """The helpers above, for tests cannot import from here."""
    return SimpleNamespace(
        aadsts=aadsts,
        answer=answer,
        call=call,
        failure=failure,
        foreign=foreign,
        issue=issue,
        mailbox=MAILBOX,
        raw=raw,
        serving=serving,
        stamp=stamp,
        start=START,
        tenant_at=tenant_at,
        real_clock=RealClock,
    )


@pytest.fixture
async def make_client(graph, token, clock):
    """Make Graph clients that are closed at the end."""
    opened = []

    async def make(*, limits=None, **options):
        client = GraphClient(
            tenant_at(graph.url), token, clock=clock, limits=limits or Limits(read=2.0, total=5.0), **options
        )
        await client.open()
        opened.append(client)
        return client

    yield make
    for client in opened:
        await client.close()


@pytest.fixture
async def client(make_client):
    return await make_client()


# --- sign-in ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self):
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem(self):
        return self.certificate.public_bytes(Encoding.PEM)

    def encrypted_key_pem(self, phrase):
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(phrase.encode()))

    def pfx(self, phrase):
        encryption = BestAvailableEncryption(phrase.encode()) if phrase else NoEncryption()
        return pkcs12.serialize_key_and_certificates(b"app", self.key, self.certificate, None, encryption)


def issue(name: str, issuer: Issued | None = None, *, ca: bool = False) -> Issued:
    """Make a certificate, signed by `issuer` or by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
    )
    return Issued(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


@pytest.fixture(scope="session")
def authority():
    return issue("Test authority", ca=True)


@pytest.fixture(scope="session")
def server_certificate(authority):
    return issue("127.0.0.1", authority)


@pytest.fixture(scope="session")
def app_certificate():
    return issue("postroom app")


@pytest.fixture(scope="session")
def other_certificate():
    return issue("another app")


@pytest.fixture
def ca_file(tmp_path, authority):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture
def server_tls(tmp_path, server_certificate):
    path = tmp_path / "server.pem"
    path.write_bytes(server_certificate.key_pem + server_certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@dataclass
class LoginHost:
    """Entra's token endpoint and discovery, as far as an app needs them; `script` overrides the next token answers."""

    url: str = ""
    secret: str = "s3cret"
    forms: list[dict[str, str]] = field(default_factory=list)
    discoveries: int = 0
    lifetime: int = 3600
    script: list[Any] = field(default_factory=list)
    discovery_script: list[Any] = field(default_factory=list)
    gate: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request):
        if request.path.endswith("openid-configuration"):
            self.discoveries += 1
            if self.discovery_script:
                return self.discovery_script.pop(0)(request)
            base = f"{self.url}/{request.path.split('/')[1]}"
            endpoints = ("authorization_endpoint", "token_endpoint", "issuer")
            return web.json_response({name: f"{base}/oauth2/v2.0/{name.split('_')[0]}" for name in endpoints})
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.forms.append(form)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.script:
            return self.script.pop(0)(request)
        if "client_secret" in form and form["client_secret"] != self.secret:
            return aadsts(7000215, "Invalid client secret provided. Ensure ...", "invalid_client")(request)
        claims = {"roles": ["Mail.Read"], "aud": "https://graph.microsoft.com", "n": len(self.forms)}
        token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        return web.json_response({"token_type": "Bearer", "expires_in": self.lifetime, "access_token": token})


def aadsts(number, text, oauth="invalid_request", status=400):
    """An error of Entra's."""
    document = {
        "error": oauth,
        "error_description": f"AADSTS{number}: {text} Trace ID: trace-1 Correlation ID: corr-1 Timestamp: now",
        "error_codes": [number],
        "trace_id": "trace-1",
        "correlation_id": "corr-1",
    }
    return lambda request: web.json_response(document, status=status)


@pytest.fixture
async def login(server_tls):
    """A login host over https on loopback."""
    host = LoginHost()
    async with serving(host.handle, server_tls) as port:
        host.url = f"https://127.0.0.1:{port}"
        yield host
