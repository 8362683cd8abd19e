"""A tenant: where we sign in, as whom, and how we prove it. Frozen data; `graph` uses it, `config` makes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cloud:
    """The hosts of a national cloud (graph-deployments docs), or custom ones.

    Attributes:
        login: Base URL of Entra, such as ``https://login.microsoftonline.com``.
        graph: Root of Graph without a version, such as ``https://graph.microsoft.com``.
        ca_file: Certificate authorities to trust instead of the system's.
        delta: False where message delta does not exist (China).
        known: True when MSAL knows the login host, so that instance discovery works.
    """

    name: str
    login: str
    graph: str
    ca_file: Path | None = None
    delta: bool = True
    known: bool = True

    @property
    def scope(self) -> str:
        """The only scope client credentials may ask for."""
        return f"{self.graph}/.default"


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud("global", "https://login.microsoftonline.com", "https://graph.microsoft.com"),
        Cloud("usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us"),
        Cloud("usgov-dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        Cloud(
            "china",
            "https://login.partner.microsoftonline.cn",
            "https://microsoftgraph.chinacloudapi.cn",
            delta=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret given as a value or as a file that is read at each use; never shown by `repr`."""

    value: str = field(default="", repr=False)
    file: Path | None = None

    def read(self) -> str:
        """Return the secret without surrounding white space; raises OSError when the file cannot be read."""
        return self.value if self.file is None else self.file.read_text(encoding="utf-8").strip()

    def __bool__(self) -> bool:
        return bool(self.value) or self.file is not None


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key: a PEM file holding both, or a PFX file.

    Attributes:
        send_chain: Send the chain (x5c), for subject-name-and-issuer registrations.
    """

    file: Path
    passphrase: Secret = field(default_factory=Secret)
    send_chain: bool = False


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """A token of another issuer in a file that is rotated: read again for each assertion."""

    file: Path


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity Azure gives this host; `client_id` names a user-assigned one."""

    client_id: str = ""


Credential = ClientSecret | Certificate | FederatedToken | ManagedIdentity


@dataclass(frozen=True, slots=True)
class Tenant:
    """An Entra tenant plus the app registration we sign in as, in one cloud."""

    name: str
    cloud: Cloud
    tenant_id: str
    client_id: str
    credential: Credential
    proxy: str = ""

    @property
    def identity(self) -> str:
        """What the journal knows it by: its id, for its name may change; a managed identity may have none."""
        return self.tenant_id.lower() or self.name

    @property
    def guid(self) -> str:
        """Its GUID where it is spelt so; a domain of it does not tell."""
        found = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", self.tenant_id.lower())
        return found[0] if found else ""
