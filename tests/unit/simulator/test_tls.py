"""Certificates made at start are ones that strict clients accept."""

from __future__ import annotations

import asyncio
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from postroom.simulator.tls import (
    LOOPBACK_NAMES,
    make_authority,
    make_client_certificate,
    server_context,
    write_private,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)


async def greet(tmp_path: Path, trust: ssl.SSLContext, name: str) -> bytes:
    """Connect to a TLS server with a fresh certificate, as `name`, and read its greeting."""

    async def serve(_reader, writer) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(tmp_path / "server.pem"))
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def trusting(pem: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("name", [*LOOPBACK_NAMES, "host.example"])
async def test_a_strict_client_accepts_the_server_under_each_of_its_names(tmp_path, name):
    authority = make_authority()
    write_private(tmp_path / "server.pem", authority.server_pem([*LOOPBACK_NAMES, "host.example"]))
    assert await greet(tmp_path, trusting(authority.pem()), name) == b"hello"


async def test_a_client_that_trusts_another_authority_refuses(tmp_path):
    write_private(tmp_path / "server.pem", make_authority().server_pem(LOOPBACK_NAMES))
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(tmp_path, trusting(make_authority().pem()), "127.0.0.1")


async def test_a_client_refuses_a_name_the_certificate_does_not_have(tmp_path):
    authority = make_authority()
    write_private(tmp_path / "server.pem", authority.server_pem(LOOPBACK_NAMES))
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(tmp_path, trusting(authority.pem()), "graph.microsoft.com")


def test_the_clients_pem_and_pfx_hold_the_same_rsa_2048_key():
    made = make_client_certificate("app", NOW)
    from_pem = load_pem_private_key(made.pem(), None)
    from_pfx, certificate, more = pkcs12.load_key_and_certificates(made.pfx("sesame"), b"sesame")
    assert isinstance(from_pem, rsa.RSAPrivateKey)
    assert from_pem.key_size == 2048
    assert from_pem.private_numbers() == from_pfx.private_numbers()
    assert certificate == x509.load_pem_x509_certificate(made.pem()) == made.certificate
    assert more == []


def test_the_pfx_stays_shut_without_its_passphrase():
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(make_client_certificate("app", NOW).pfx("sesame"), b"open")


def test_a_private_file_is_its_owners_alone_even_where_a_public_one_was(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("old and much longer")
    path.chmod(0o644)
    assert write_private(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
