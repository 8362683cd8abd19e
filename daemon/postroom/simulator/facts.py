"""What a client must know of a simulated tenant, as attributes, as a configuration and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from postroom.simulator.entra import App
from postroom.simulator.identity import Identity
from postroom.simulator.sample_config import config_text


class TenantFacts:
    """The part of a simulated tenant that tells; who starts it fills the attributes.

    Attributes:
        graph, login: Base URLs, the same here.
        ca_file: The authority to trust; None without TLS.
        smtp: ``host:port`` of the SMTP listener; empty without one.
        control: Base URL of the start page and the control endpoint; empty without one.
        metadata: Base URL of the endpoint that hands machines in Azure their tokens; empty without one.
        identity_header: The secret of its App Service form.
        mailboxes: Their addresses.
        identity: What a client signs in with.
    """

    graph: str
    login: str
    ca_file: Path | None
    smtp: str
    control: str
    metadata: str
    identity_header: str = ""
    mailboxes: tuple[str, ...]
    identity: Identity

    @property
    def tenant_id(self) -> str:
        """The directory (tenant) id."""
        return self.identity.tenant_id

    @property
    def client_id(self) -> str:
        """The application (client) id of the app registration."""
        return self.identity.client_id

    @property
    def client_secret(self) -> str:
        """A secret of it that does not expire."""
        return self.identity.client_secret

    @property
    def certificate_file(self) -> Path:
        """PEM with the app's certificate and its key."""
        return self.identity.certificate_file

    @property
    def pfx_file(self) -> Path:
        """The same as PKCS #12, locked with `pfx_passphrase`."""
        return self.identity.pfx_file

    @property
    def pfx_passphrase(self) -> str:
        """What opens `pfx_file`."""
        return self.identity.pfx_passphrase

    @property
    def federated_token_file(self) -> Path:
        """A foreign issuer's token that the app trusts."""
        return self.identity.federated_token_file

    @property
    def app(self) -> App:
        """The app registration."""
        return self.identity.app

    def config_text(
        self,
        journal: str = "sqlite:///postroom.db",
        *,
        attachments: str = "attachments",
        credential: Mapping[str, str] | None = None,
        poll: str = "2s",
        start: str = "all",
    ) -> str:
        """Return a configuration for `postroom run` that watches every mailbox; relative paths are beside it."""
        return config_text(
            cloud={"login": self.login, "graph": self.graph, "ca_file": str(self.ca_file or "")},
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            credential=credential or {"client_secret": self.client_secret},
            mailboxes=self.mailboxes,
            journal=journal,
            attachments=attachments,
            poll=poll,
            start=start,
        )

    def describe(self) -> dict[str, Any]:
        """Return what a client must know, as `postroom simulate --json` prints it."""
        return {
            "graph": self.graph,
            "login": self.login,
            "ca_file": str(self.ca_file or ""),
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "certificate_file": str(self.certificate_file),
            "pfx_file": str(self.pfx_file),
            "pfx_passphrase": self.pfx_passphrase,
            "federated_token_file": str(self.federated_token_file),
            "smtp": self.smtp,
            "control": self.control,
            "metadata": self.metadata,
            "identity_header": self.identity_header,
            "mailboxes": list(self.mailboxes),
            "config": self.config_text(),
        }
