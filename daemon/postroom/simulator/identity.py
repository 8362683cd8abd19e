"""Who may sign in to a simulated tenant: the app registration, its four credentials, and the files that hold them."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from postroom.simulator.entra import App, ClientSecret, Directory, Entra, Federation, ManagedIdentity
from postroom.simulator.entra.tokens import TokenSigner
from postroom.simulator.tls import ClientCertificate, make_client_certificate, write_private

SUBJECT = "system:serviceaccount:mail:postroom"
"""Whom the federated token speaks of: a Kubernetes service account."""

ISSUER = "https://cluster.contoso.example/"
"""Who signs it; Entra knows the key, nobody looks it up."""

GRAPH_NAMES = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
"""What Graph is called in every tenant of the global cloud; many clients ask for it by no other name."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A registered app with everything it can sign in with.

    Attributes:
        app: The registration; change it to take a role away, let a secret expire, add a certificate.
        federation: The foreign issuer, to sign further tokens with.
    """

    tenant_id: str
    app: App
    client_secret: str = field(repr=False)
    certificate_file: Path
    pfx_file: Path
    pfx_passphrase: str = field(repr=False)
    federated_token_file: Path
    federation: Federation

    @property
    def client_id(self) -> str:
        """The application (client) id."""
        return self.app.client_id

    def write_federated_token(self, now: datetime, lifetime: timedelta = timedelta(days=30)) -> None:
        """Sign a new federated token and put it in the place of the old, as a cluster does when it rotates them."""
        new = self.federated_token_file.with_suffix(".new")
        write_private(new, self.federation.token(SUBJECT, now=now, lifetime=lifetime).encode())
        new.replace(self.federated_token_file)


@dataclass(frozen=True, slots=True)
class Registration:
    """A further app, of this tenant or another, with what it signs in by."""

    tenant_id: str
    app: App
    client_secret: str = field(repr=False)

    @property
    def client_id(self) -> str:
        """The application (client) id."""
        return self.app.client_id


def register_app(
    tenant: Directory,
    name: str,
    *,
    roles: Iterable[str],
    mailboxes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> Registration:
    """Register an app with a secret in a tenant.

    Args:
        tenant: Where.
        name: Its display name.
        roles: Application permissions with consent.
        mailboxes: What RBAC for Applications limits it to; None for every mailbox.
        expires_at: When the secret ends; never without.
    """
    secret = secrets.token_urlsafe(30)
    scope = None if mailboxes is None else frozenset(mailboxes)
    app = App(str(uuid.uuid4()), name, frozenset(roles), scope, [ClientSecret(secret, expires_at)])
    return Registration(tenant.tenant_id, tenant.add_app(app), secret)


def add_tenant(entra: Entra, domains: Iterable[str], *, roles: Iterable[str]) -> Registration:
    """Set up another tenant for some mail domains, with one app."""
    tenant = entra.add_directory(Directory(str(uuid.uuid4()), domains))
    return register_app(tenant, "Postroom", roles=roles)


def add_managed_identity(
    tenant: Directory, name: str, *, roles: Iterable[str], user_assigned: bool = False
) -> ManagedIdentity:
    """Give the simulated machine an identity in a tenant."""
    app = App(str(uuid.uuid4()), name, frozenset(roles))
    resource = f"/subscriptions/{uuid.uuid4()}/resourcegroups/mail/providers/microsoft.managedidentity/{name}"
    return tenant.add_managed_identity(ManagedIdentity(app, str(uuid.uuid4()), resource, user_assigned))


async def register(
    directory: Path,
    *,
    login: str,
    resources: Iterable[str],
    clock: Callable[[], datetime],
    token_lifetime: int,
    roles: Iterable[str],
    domains: Sequence[str],
) -> tuple[Entra, Identity]:
    """Set up Entra with one tenant and one app; key pairs are made in threads, files written to `directory`."""
    signer, certificate, federation = await asyncio.gather(
        asyncio.to_thread(TokenSigner),
        asyncio.to_thread(make_client_certificate, "postroom", clock()),
        asyncio.to_thread(Federation, ISSUER),
    )
    entra = Entra(
        login=login, resources=[*resources, *GRAPH_NAMES], clock=clock, token_lifetime=token_lifetime, signer=signer
    )
    entra.trust(federation)
    secret = secrets.token_urlsafe(30)
    app = App(
        client_id=str(uuid.uuid4()),
        name="Postroom",
        roles=frozenset(roles),
        secrets=[ClientSecret(secret)],
        certificates=[certificate.certificate],
        federated=[federation.credential(SUBJECT)],
    )
    tenant = entra.add_directory(Directory(str(uuid.uuid4()), domains))
    tenant.add_app(app)
    identity = await asyncio.to_thread(
        _write,
        directory,
        tenant_id=tenant.tenant_id,
        app=app,
        secret=secret,
        certificate=certificate,
        federation=federation,
    )
    identity.write_federated_token(clock())
    return entra, identity


def _write(
    directory: Path,
    *,
    tenant_id: str,
    app: App,
    secret: str,
    certificate: ClientCertificate,
    federation: Federation,
) -> Identity:
    passphrase = secrets.token_urlsafe(12)
    return Identity(
        tenant_id=tenant_id,
        app=app,
        client_secret=secret,
        certificate_file=write_private(directory / "app.pem", certificate.pem()),
        pfx_file=write_private(directory / "app.pfx", certificate.pfx(passphrase)),
        pfx_passphrase=passphrase,
        federated_token_file=directory / "federated-token",
        federation=federation,
    )
