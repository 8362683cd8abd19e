"""One sign-in with MSAL, in a thread. The only file that knows MSAL.

MSAL blocks, does network I/O in its constructor, fails in three families of exceptions and a dict, and forgets a valid
token when a refresh fails with 5xx. So it runs in a thread of `token.TokenSource`, which holds the token, and keeps
nothing here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msal

from postroom.errors import AuthError
from postroom.graph.auth_errors import auth_error, unreachable
from postroom.graph.credentials import Material, read_assertion, read_credential
from postroom.graph.login_faults import login_fault
from postroom.graph.login_http import LoginHttp
from postroom.ports import Clock
from postroom.tenant import Certificate, FederatedToken, ManagedIdentity, Tenant


class _Forgetful(msal.TokenCache):  # type: ignore[misc]  # msal has no types
    """MSAL's cache that keeps nothing: each call is a request, and the token is held above."""

    def add(self, event: Any, now: Any = None) -> None:
        """Keep nothing."""


class SignIn:
    """MSAL, for one thread.

    Args:
        timeout: Seconds for one connection attempt or one silence of the login host.
        closing: Once set, nothing is waited for any more between two tries.
    """

    def __init__(self, tenant: Tenant, clock: Clock, timeout: float, closing: threading.Event) -> None:
        self._http = LoginHttp(tenant, timeout, closing)
        self._tenant = tenant
        self._clock = clock
        self._material: Material | None = None
        self._app: Any = None

    def token(self) -> tuple[str, float]:
        """Return a new access token and its lifetime in seconds; blocks, and raises AuthError only."""
        self._http.last = (0, {})  # or else the answer to an earlier call would be taken for that to this one
        try:
            return self._read(self._ask())
        except AuthError:
            raise
        except Exception as error:  # MSAL lets through whatever its HTTP, JSON and discovery code raise
            self._app = None  # what it remembers may be what fails
            raise login_fault(error, self._http.last, self._tenant, secret=self._secret()) from error

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _ask(self) -> Mapping[str, Any]:
        material = read_credential(self._tenant)
        if self._app is None or self._material is None or material.digest != self._material.digest:
            self._app = None  # should building fail, the next call must not meet the old credential
            self._material = material
            self._app = self._build(material)
        if isinstance(self._tenant.credential, ManagedIdentity):
            answer: Mapping[str, Any] = self._app.acquire_token_for_client(resource=self._tenant.cloud.graph)
        else:
            answer = self._app.acquire_token_for_client(scopes=[self._tenant.cloud.scope])
        return answer

    def _build(self, material: Material) -> Any:
        """Make MSAL's application, which asks Entra for its endpoints; a new one knows no cached errors of the old."""
        cloud, credential = self._tenant.cloud, self._tenant.credential
        if not cloud.login.startswith("https://"):  # MSAL refuses it too, in other words
            raise unreachable(
                self._tenant,
                f"{cloud.login} is not an https address",
                "Correct the cloud's login URL.",
                temporary=False,
            )
        if isinstance(credential, ManagedIdentity):
            named = msal.UserAssignedManagedIdentity(client_id=credential.client_id) if credential.client_id else None
            identity = named or msal.SystemAssignedManagedIdentity()
            return msal.ManagedIdentityClient(identity, http_client=self._http, token_cache=_Forgetful())
        return msal.ConfidentialClientApplication(
            self._tenant.client_id,
            authority=f"{cloud.login.rstrip('/')}/{self._tenant.tenant_id}",
            client_credential=material.secret if material.secret is not None else {"client_assertion": self._assertion},
            http_client=self._http,
            token_cache=_Forgetful(),
            instance_discovery=None if cloud.known else False,
            azure_region=False,  # immune to MSAL_FORCE_REGION, whose detection may hang
            app_name="postroom",
        )

    def _assertion(self) -> str:
        """Prove the app anew for each request."""
        credential = self._tenant.credential
        if isinstance(credential, FederatedToken):
            return read_assertion(self._tenant, credential)
        from postroom.graph.assertion import certificate_assertion  # noqa: PLC0415 - as for `credentials`

        assert isinstance(credential, Certificate)
        assert self._material is not None
        assert self._material.pair is not None
        return certificate_assertion(
            self._material.pair,
            self._tenant.client_id,
            self._app.authority.token_endpoint,
            self._clock.now(),
            send_chain=credential.send_chain,
        )

    def _read(self, answer: Mapping[str, Any] | None) -> tuple[str, float]:
        if answer and isinstance(token := answer.get("access_token"), str):
            return token, float(answer.get("expires_in") or 3600)
        if answer and not isinstance(answer.get("error"), str):
            self._app = None  # MSAL keeps the errors it met for its next request, and fails for good with one like this
        raise auth_error(answer or {}, self._tenant, secret=self._secret(), status=self._http.last[0])

    def _secret(self) -> str:
        return (self._material.secret if self._material else None) or ""
