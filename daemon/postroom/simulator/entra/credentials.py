"""Judges a token request by client credentials: who asks, how they prove it, and for what."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from postroom.simulator.entra.directory import App
from postroom.simulator.entra.errors import EntraError

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SUFFIX = "/.default"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The form of a token request, with HTTP Basic folded in (RFC 6749 section 2.3.1)."""

    client_id: str
    scope: str
    secret: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)


def read_request(form: Mapping[str, str], authorization: str = "") -> TokenRequest:
    """Read the form and the Authorization header; raises `EntraError` 70003, 900144 or 7000218."""
    if form.get("grant_type") != "client_credentials":
        _need(form, "grant_type")
        raise EntraError(70003, form["grant_type"])
    user, password = _basic(authorization)
    client_id = form.get("client_id") or user or _need(form, "client_id")
    request = TokenRequest(
        client_id,
        _need(form, "scope"),
        form.get("client_secret") or password,
        form.get("client_assertion", "") if form.get("client_assertion_type") == JWT_BEARER else "",
    )
    if not request.secret and not request.assertion:
        raise EntraError(7000218)
    return request


def check_secret(app: App, value: str, now: datetime) -> None:
    """Accept one of the app's secrets, or raise `EntraError` 7000215 (wrong) or 7000222 (right but expired)."""
    right = [secret for secret in app.secrets if hmac.compare_digest(secret.value.encode(), value.encode())]
    if not right:
        raise EntraError(7000215, app.client_id)
    if not any(secret.expires_at is None or now < secret.expires_at for secret in right):
        raise EntraError(7000222, app.client_id)


def check_scope(scope: str, resources: Collection[str]) -> str:
    """Return the one resource asked for; raises `EntraError` 70011, 1002012 or 500011."""
    if len(scope.split()) != 1:
        raise EntraError(70011, scope)
    if not scope.endswith(_SUFFIX):
        raise EntraError(1002012, scope)
    resource = scope.removesuffix(_SUFFIX)
    # A resource registered with a closing slash is asked for with two (v2-oauth2 docs on trailing slashes).
    if resource.rstrip("/") not in resources:
        raise EntraError(500011, resource)
    return resource.rstrip("/")


def _need(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise EntraError(900144, name)
    return form[name]


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise EntraError(7000218) from error
    return unquote(user), unquote(password)
