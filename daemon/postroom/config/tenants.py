"""Tenants: from their sections, and the variables of Azure workload identity, to `Tenant`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from postroom.config.files import check_file, world_readable
from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id
from postroom.config.sections import File
from postroom.config.shape import Shaped
from postroom.config.tenant_sections import CloudSection, CredentialSection, TenantSection
from postroom.tenant import (
    CLOUDS,
    Certificate,
    ClientSecret,
    Cloud,
    Credential,
    FederatedToken,
    ManagedIdentity,
    Secret,
    Tenant,
)

DEFAULT = "default"
"""What a single ``tenant:`` is called."""

_AUTHORITIES = {cloud.login: cloud for cloud in reversed(CLOUDS.values())} | {
    # MSAL calls this host of the China cloud deprecated; Azure still hands it out.
    "https://login.chinacloudapi.cn": CLOUDS["china"],
}


@dataclass(frozen=True, slots=True)
class _Workshop:
    """What making a tenant needs: its name, its place in the tree, and what surrounds the file."""

    name: str
    node: Node
    environ: Mapping[str, str]
    directory: Path
    findings: Findings
    file: Path | None

    def at(self, *location: str) -> Node:
        node = self.node
        for part in location:
            node = node.child(part) or node
        return node

    def required(self, setting: str, value: str | None, variable: str) -> str:
        """Return the value or the variable's; report when there is neither."""
        found = value or self.environ.get(variable, "")
        path = (*self.node.path, setting)
        if not found and not self.findings.touched(path):
            text = f"is missing; add `{setting}: ...` here, or set {variable}"
            self.findings.add(Id.MISSING_SETTING, replace(self.node.key_place, path=path), text)
        return found

    def path(self, value: Path, *location: str, secret: bool) -> Path:
        """Return the path relative to the file, and check what is there."""
        path = self.directory / value
        check_file(path, self.at(*location), self.findings, secret=secret)
        return path


def make_tenants(
    shaped: Shaped[File], environ: Mapping[str, str], directory: Path, findings: Findings, file: Path | None
) -> dict[str, Tenant]:
    """Return the tenants by name; those with problems, which are reported, may be among them."""
    model, made = shaped.model, dict[str, Tenant]()
    sections: dict[str, tuple[TenantSection, Node]] = {
        name: (section, shaped.node("tenants", name)) for name, section in (model.tenants or {}).items()
    }
    if model.tenant is not None:
        sections[DEFAULT] = (model.tenant, shaped.node("tenant"))
    _check_form(shaped, findings)
    for name, (section, node) in sections.items():
        made[name] = _tenant(section, _Workshop(name, node, environ, directory, findings, file))
    return made


def _check_form(shaped: Shaped[File], findings: Findings) -> None:
    if findings.touched(("tenant",)) or findings.touched(("tenants",)):
        return
    if shaped.model.tenant is None and shaped.model.tenants is None:
        text = "there is no tenant to sign in to; add `tenant:` with tenant_id, client_id and credential"
        findings.add(Id.TENANT_OR_TENANTS, shaped.tree.place, text)
    if shaped.model.tenant is not None and shaped.model.tenants is not None:
        text = "tenant and tenants are both here; move the one under `tenants:` and give it a name"
        findings.add(Id.TENANT_OR_TENANTS, shaped.node("tenant").key_place, text)


def _tenant(section: TenantSection, shop: _Workshop) -> Tenant:
    cloud = _cloud(section.cloud, shop)
    credential = _credential(section.credential, shop)
    managed = isinstance(credential, ManagedIdentity)
    tenant_id = shop.required("tenant_id", section.tenant_id, "AZURE_TENANT_ID") if not managed else section.tenant_id
    client_id = shop.required("client_id", section.client_id, "AZURE_CLIENT_ID") if not managed else section.client_id
    if section.scope is not None and section.scope != cloud.scope:
        text = (
            "an app that signs in by itself gets all the permissions it was granted, and may ask for no single ones; "
            f"write {cloud.scope}, or leave it out, and grant the permissions in Entra"
        )
        shop.findings.add(Id.WRONG_SCOPE, shop.at("scope").place, text)
    return Tenant(shop.name, cloud, tenant_id or "", client_id or "", credential, section.proxy or "")


def _cloud(section: CloudSection | None, shop: _Workshop) -> Cloud:
    if section is None:
        return _cloud_of_environment(shop)
    ca_file = shop.path(section.ca_file, "cloud", "ca_file", secret=False) if section.ca_file is not None else None
    for cloud in CLOUDS.values():
        if (cloud.login, cloud.graph) == (section.login, section.graph):
            return replace(cloud, ca_file=ca_file)
    delta = section.graph != CLOUDS["china"].graph
    return Cloud("custom", section.login, section.graph, ca_file, delta=delta, known=section.login in _AUTHORITIES)


def _cloud_of_environment(shop: _Workshop) -> Cloud:
    host = shop.environ.get("AZURE_AUTHORITY_HOST", "").rstrip("/")
    if not host or shop.findings.touched((*shop.node.path, "cloud")):
        return CLOUDS["global"]
    if host not in _AUTHORITIES:
        text = f"AZURE_AUTHORITY_HOST is {host!r}, which is no cloud known here; add `cloud:` with login and graph"
        shop.findings.add(Id.UNKNOWN_AUTHORITY, shop.node.key_place, text)
    return _AUTHORITIES.get(host, CLOUDS["global"])


def _credential(section: CredentialSection | None, shop: _Workshop) -> Credential:
    if section is None:
        file = shop.required("credential", None, "AZURE_FEDERATED_TOKEN_FILE")
        return FederatedToken(shop.path(Path(file), secret=False)) if file else ClientSecret(Secret())
    if section.managed_identity is not None:
        return ManagedIdentity(section.managed_identity.client_id or "")
    if section.federated_token_file is not None:
        # Kubernetes projects this one readable by the whole container, so that nothing is to be said about its mode.
        token = shop.path(section.federated_token_file, "credential", "federated_token_file", secret=False)
        return FederatedToken(token)
    if section.certificate_file is not None:
        file_ = shop.path(section.certificate_file, "credential", "certificate_file", secret=True)
        return Certificate(
            file_, _secret("passphrase", section.passphrase, section.passphrase_file, shop), section.send_chain
        )
    return ClientSecret(_secret("client_secret", section.client_secret, section.client_secret_file, shop))


def _secret(setting: str, value: SecretStr | None, file: Path | None, shop: _Workshop) -> Secret:
    if file is not None:
        return Secret(file=shop.path(file, "credential", f"{setting}_file", secret=True))
    node = shop.at("credential", setting)
    if value is not None and not node.source and shop.file is not None and world_readable(shop.file):
        text = f"this file holds a secret and everybody on this machine can read it; use {setting}_file or a variable"
        shop.findings.add(Id.SECRET_EXPOSED, node.place, text)
    return Secret(value.get_secret_value() if value is not None else "")
