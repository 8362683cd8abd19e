"""A tenant as it stands in the file: cloud, ids and credential."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from postroom.config.fields import NonEmpty, Section, refuse
from postroom.config.places import BaseUrl, ClientId, ProxyUrl, TenantId, with_braces
from postroom.config.problems import Id, suggestion
from postroom.tenant import CLOUDS


class CloudSection(Section):
    """Custom endpoints: a test system, a proxy, or a cloud Postroom does not know."""

    login: BaseUrl
    """Where to sign in, such as `https://login.microsoftonline.com`."""
    graph: BaseUrl
    """Where Microsoft Graph is, without a version, such as `https://graph.microsoft.com`."""
    ca_file: Annotated[Path | None, Field(json_schema_extra={"examples": ["ca.pem"]})] = None
    """Certificate authorities to trust instead of the system's, as PEM; relative to this file."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_left_out(cls, data: Any) -> Any:
        """Let a variable be empty where there is no authority of our own."""
        return {k: v for k, v in data.items() if (k, v) != ("ca_file", "")} if isinstance(data, dict) else data


def _named_cloud(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    cloud = CLOUDS.get(value)
    if cloud is None:
        guess = suggestion(value, CLOUDS)
        refuse(Id.NOT_A_CHOICE, f"{{value}} is not a cloud{guess}; or give login and graph of your own")
    return CloudSection(login=cloud.login, graph=cloud.graph)


class ManagedIdentitySection(Section):
    """A user-assigned managed identity."""

    client_id: ClientId | None = None
    """Client id of the identity; left out, it is the system-assigned one."""


def _system_assigned(value: Any) -> Any:
    if value is True:
        return ManagedIdentitySection()
    if value is False or not isinstance(value, dict):
        refuse(Id.BAD_VALUE, "managed_identity is true or {client_id: ...}; leave it out to use another credential")
    return value


CREDENTIALS = ("client_secret", "client_secret_file", "certificate_file", "federated_token_file", "managed_identity")
_CERTIFICATE_ONLY = ("passphrase", "passphrase_file", "send_chain")


def _given_secret(secret: SecretStr) -> SecretStr:
    if not with_braces(secret.get_secret_value()).strip():
        refuse(Id.MISSING_SETTING, "the secret is empty, so that nobody can sign in; set its variable where this runs")
    return secret


class CredentialSection(Section):
    """How the app proves itself: exactly one of the five, and what belongs to a certificate."""

    client_secret: Annotated[SecretStr, AfterValidator(_given_secret)] | None = None
    """The client secret itself; better a file, or a variable as in `${NAME}`."""
    client_secret_file: Path | None = None
    """File with the client secret, read again when it changes; relative to this file."""
    certificate_file: Path | None = None
    """Certificate with its private key: PEM with both, or PFX; relative to this file."""
    passphrase: SecretStr | None = None
    """Passphrase of the certificate's private key."""
    passphrase_file: Path | None = None
    """File with the passphrase; relative to this file."""
    send_chain: bool = False
    """Send the certificate chain (x5c), for registrations by subject name and issuer."""
    federated_token_file: Path | None = None
    """File with another issuer's token (workload identity), read again for each sign-in; relative to this file."""
    managed_identity: Annotated[
        ManagedIdentitySection | None,
        BeforeValidator(_system_assigned, json_schema_input_type=Literal[True] | ManagedIdentitySection),
    ] = None
    """The identity Azure gives this machine: `true`, or `{client_id: ...}` for a user-assigned one."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in CREDENTIALS if name in self.model_fields_set]
        if len(given) > 1:
            refuse(Id.ONE_CREDENTIAL, f"{' and '.join(given)} are both here; keep one")
        if not given:
            refuse(Id.ONE_CREDENTIAL, f"there is no credential here; give one of {', '.join(CREDENTIALS)}")
        stray = [name for name in _CERTIFICATE_ONLY if name in self.model_fields_set]
        if stray and given != ["certificate_file"]:
            refuse(Id.STRAY_CREDENTIAL_SETTING, f"{stray[0]} belongs to certificate_file; remove it")
        if {"passphrase", "passphrase_file"} <= self.model_fields_set:
            refuse(Id.ONE_CREDENTIAL, "passphrase and passphrase_file are both here; keep one")
        return self


class TenantSection(Section):
    """An Entra tenant plus the app registration to sign in as.

    What is left out comes from the variables of Azure workload identity: AZURE_TENANT_ID, AZURE_CLIENT_ID,
    AZURE_FEDERATED_TOKEN_FILE and AZURE_AUTHORITY_HOST.
    """

    cloud: Annotated[
        CloudSection | None,
        BeforeValidator(
            _named_cloud, json_schema_input_type=Literal["global", "usgov", "usgov-dod", "china"] | CloudSection
        ),
    ] = None
    """`global` (the default), `usgov` (GCC High, L4), `usgov-dod` (L5), `china`, or endpoints of your own."""
    tenant_id: TenantId | None = None
    """The directory (tenant) id, or a domain of the tenant."""
    client_id: ClientId | None = None
    """The application (client) id of the app registration."""
    credential: CredentialSection | None = None
    """How the app proves itself."""
    scope: NonEmpty | None = None
    """Only to be explicit: an app signs in for `{graph}/.default` and nothing else."""
    proxy: ProxyUrl | None = None
    """HTTP proxy for sign-in and Graph; left out, the environment's HTTPS_PROXY and NO_PROXY hold."""
