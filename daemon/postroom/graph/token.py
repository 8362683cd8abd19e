"""Access tokens for one tenant. The only file that knows MSAL.

MSAL blocks, does network I/O in its constructor, fails in three families of exceptions and a dict, and forgets a valid
token when a refresh fails with 5xx. So it runs in a thread of its own, keeps nothing, and the token is held here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
import msal

from postroom.errors import AuthError
from postroom.graph.assertion import certificate_assertion
from postroom.graph.auth_errors import UNREACHABLE_REMEDY, auth_error, unreachable
from postroom.graph.credentials import Material, read_assertion, read_credential
from postroom.graph.flight import SingleFlight
from postroom.graph.login_faults import login_fault
from postroom.graph.login_http import IMDS_PAUSES, LoginHttp
from postroom.ports import Clock
from postroom.tenant import Certificate, FederatedToken, ManagedIdentity, Tenant

REFRESH_AHEAD = 300.0
"""Seconds before expiry from which a new token is fetched while the present one is still used."""

YOUNG = 5.0
"""Seconds between two tokens that are dropped: a tenant's mailboxes that all refuse them must not sign in each."""

_HOLD_OFF = 5.0
_CLOSING = 1.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A token: the ready header, and until when it is good, in monotonic seconds and by the clock."""

    header: str
    renew_at: float
    dead_at: float
    expires_at: datetime


class TokenSource:
    """The tokens of one tenant; see `ports.Token`. Any number of callers share one sign-in.

    Args:
        timeout: Seconds for one connection attempt or one silence of the login host.
    """

    def __init__(self, tenant: Tenant, *, clock: Clock, timeout: float = 20.0) -> None:
        self._tenant = tenant
        self._clock = clock
        self._timeout = timeout
        self._held: _Held | None = None
        self._dropped = -math.inf
        self._failure: tuple[float, AuthError] | None = None
        self._flight = SingleFlight(self._renew)
        self._sign_in: _SignIn | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the present token expires (aware, UTC); None when there is none."""
        return None if self._held is None else self._held.expires_at

    async def header(self) -> str:
        """Return the ready ``Bearer ...`` value; raises AuthError when there is no valid token to be had.

        A token near its end is renewed in the background and used while it is valid, even if that fails.
        """
        now = self._clock.monotonic()
        held = self._held
        if held is not None and now < held.renew_at:
            return held.header
        recent = self._recent_failure(now)
        if held is not None and now < held.dead_at:
            if recent is None:
                self._flight.start()
            return held.header
        if recent is not None:
            raise recent
        await self._flight.join()
        assert self._held is not None
        return self._held.header

    async def refresh(self) -> None:
        """Get a fresh token ahead of expiry; a failure keeps the present one while it is valid, and is raised."""
        await self._flight.join()

    def drop(self, header: str) -> None:
        """Forget the token if it is still the one refused with 401, once in `YOUNG`: then another is no better."""
        now = self._clock.monotonic()
        if self._held is not None and self._held.header == header and now - self._dropped >= YOUNG:
            self._held, self._dropped = None, now

    async def claims(self) -> Mapping[str, Any]:
        """Return the token's claims (`roles`, `exp`, `aud` ...), not verified, for diagnosis; empty if it is opaque."""
        token = (await self.header()).removeprefix("Bearer ")
        try:
            claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return {}
        return claims

    async def close(self) -> None:
        """Stop signing in; a request under way ends by its own time limit, and is waited for a moment only."""
        await self._flight.cancel()
        closed = self._abandon()
        if closed is not None:
            waiting = asyncio.wrap_future(closed)
            await asyncio.wait([waiting], timeout=_CLOSING)
            waiting.cancel()

    def _recent_failure(self, now: float) -> AuthError | None:
        """Return the last failure for some seconds, so that a thousand mailboxes do not ask Entra one after another."""
        if self._failure is None or now >= self._failure[0]:
            return None
        return self._failure[1].with_traceback(None)

    async def _renew(self) -> None:
        """Sign in and hold the token, or remember why not; raises AuthError."""
        try:
            held = await self._acquire()
        except AuthError as error:
            self._failure = (self._clock.monotonic() + _HOLD_OFF, error)
            raise
        self._held, self._failure = held, None

    async def _acquire(self) -> _Held:
        if self._thread is None or self._sign_in is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sign-in-{self._tenant.name}")
            self._sign_in = _SignIn(self._tenant, self._clock, self._timeout)
        asked, asked_at = self._clock.monotonic(), self._clock.now()
        try:
            async with asyncio.timeout(self._longest()):
                token, lifetime = await asyncio.get_running_loop().run_in_executor(self._thread, self._sign_in.token)
        except TimeoutError as error:
            self._abandon()
            raise unreachable(self._tenant, "the login host did not answer in time", UNREACHABLE_REMEDY) from error
        ahead = min(REFRESH_AHEAD, lifetime / 2)
        return _Held(
            f"Bearer {token}", asked + lifetime - ahead, asked + lifetime, asked_at + timedelta(seconds=lifetime)
        )

    def _longest(self) -> float:
        """Seconds for discovery and token, each tried twice, and for the pauses of a host's identity endpoint."""
        local = isinstance(self._tenant.credential, ManagedIdentity)
        return (len(IMDS_PAUSES) + 1) * self._timeout + sum(IMDS_PAUSES) if local else 4 * self._timeout

    def _abandon(self) -> Future[None] | None:
        """Leave the thread to itself, for it may hang in the network; the next sign-in gets another."""
        closed = None
        if self._thread is not None and self._sign_in is not None:
            self._sign_in.http.closing.set()
            closed = self._thread.submit(self._sign_in.http.close)
            self._thread.shutdown(wait=False)
        self._thread, self._sign_in = None, None
        return closed


class _Forgetful(msal.TokenCache):  # type: ignore[misc]  # msal has no types
    """MSAL's cache that keeps nothing: each call is a request, and the token is held above."""

    def add(self, event: Any, now: Any = None) -> None:
        """Keep nothing."""


class _SignIn:
    """MSAL, for one thread. `token` blocks and raises AuthError only."""

    def __init__(self, tenant: Tenant, clock: Clock, timeout: float) -> None:
        self.http = LoginHttp(tenant, timeout)
        self._tenant = tenant
        self._clock = clock
        self._material: Material | None = None
        self._app: Any = None

    def token(self) -> tuple[str, float]:
        """Return a new access token and its lifetime in seconds."""
        try:
            return self._read(self._ask())
        except AuthError:
            raise
        except Exception as error:  # MSAL lets through whatever its HTTP, JSON and discovery code raise
            raise login_fault(error, self.http.last, self._tenant, secret=self._secret()) from error

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
            return msal.ManagedIdentityClient(identity, http_client=self.http, token_cache=_Forgetful())
        return msal.ConfidentialClientApplication(
            self._tenant.client_id,
            authority=f"{cloud.login.rstrip('/')}/{self._tenant.tenant_id}",
            client_credential=material.secret if material.secret is not None else {"client_assertion": self._assertion},
            http_client=self.http,
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
        raise auth_error(answer or {}, self._tenant, secret=self._secret(), status=self.http.last[0])

    def _secret(self) -> str:
        return (self._material.secret if self._material else None) or ""
