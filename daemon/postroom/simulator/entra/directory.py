"""What an administrator set up: tenants, app registrations, their credentials and what was consented to.

Plain mutable state without HTTP: a test adds a secret, lets one expire or takes a permission away by assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from postroom.simulator.entra.errors import EntraError

EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
"""The usual audience of a federated token (Entra workload identity federation docs)."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret; `expires_at` is None for one that never does."""

    value: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """A foreign token that is trusted: issuer, subject and audience must match to the letter."""

    issuer: str
    subject: str
    audience: str = EXCHANGE_AUDIENCE


@dataclass(slots=True)
class App:
    """An app registration and what the tenant granted it.

    Attributes:
        roles: Application permissions with admin consent, such as ``Mail.ReadWrite``.
        mailboxes: Addresses and ids that RBAC for Applications limits the app to; None for every mailbox.
        tokens_valid_from: Tokens issued before are refused, as after a revocation.
        enabled: Whether it may sign in at all.
        token_lifetime: Seconds its access tokens live; what Entra says for all without.
    """

    client_id: str
    name: str
    roles: frozenset[str] = frozenset()
    mailboxes: frozenset[str] | None = None
    secrets: list[ClientSecret] = field(default_factory=list)
    certificates: list[x509.Certificate] = field(default_factory=list)
    federated: list[FederatedCredential] = field(default_factory=list)
    tokens_valid_from: datetime | None = None
    enabled: bool = True
    token_lifetime: int | None = None

    def certificate(self, *, sha256: bytes | None, sha1: bytes | None) -> x509.Certificate | None:
        """Return the registered certificate with this thumbprint, SHA-256 first; None when there is none."""
        for certificate in self.certificates:
            if sha256 is not None:
                found = certificate.fingerprint(hashes.SHA256()) == sha256
            else:
                # x5t is defined over SHA-1 (RFC 7515 section 4.1.7); it names a key here, it proves nothing.
                found = certificate.fingerprint(hashes.SHA1()) == sha1  # noqa: S303 - see above
            if found:
                return certificate
        return None


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity that a machine in Azure has, instead of a credential.

    Attributes:
        app: Its service principal: client id and roles.
        user_assigned: Whether it is asked for by id; the machine's own identity otherwise.
    """

    app: App
    object_id: str
    resource_id: str
    user_assigned: bool = False


class Directory:
    """A tenant: found by its id or one of its domains, it holds app registrations and managed identities."""

    def __init__(self, tenant_id: str, domains: Iterable[str] = ()) -> None:
        self.tenant_id = tenant_id
        self.domains = frozenset(domain.lower() for domain in domains)
        self.apps: dict[str, App] = {}
        self.managed: list[ManagedIdentity] = []

    def add_managed_identity(self, identity: ManagedIdentity) -> ManagedIdentity:
        """Give the simulated machine an identity."""
        self.add_app(identity.app)
        self.managed.append(identity)
        return identity

    def add_app(self, app: App) -> App:
        """Register an app; one with the same client id is replaced."""
        self.apps[app.client_id.lower()] = app
        return app

    def app(self, client_id: str) -> App:
        """Return the registered app; raises `EntraError` 700016, or 7000112 for one that is disabled."""
        app = self.apps.get(client_id.lower())
        if app is None:
            raise EntraError(700016, client_id)
        if not app.enabled:
            raise EntraError(7000112, client_id)
        return app

    def is_called(self, name: str) -> bool:
        """Tell whether `name`, from a URL, means this tenant."""
        return name.lower() == self.tenant_id or name.lower() in self.domains
