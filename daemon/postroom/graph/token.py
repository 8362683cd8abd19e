"""Access tokens for one tenant: held here, and renewed by a thread that signs in."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from postroom.errors import AuthError
from postroom.graph.auth_errors import UNREACHABLE_REMEDY, unreachable
from postroom.graph.flight import SingleFlight
from postroom.graph.login_patience import longest_sign_in
from postroom.ports import Clock
from postroom.tenant import Tenant

if TYPE_CHECKING:
    from postroom.graph.sign_in import SignIn

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

    Attributes:
        tenant_guid: Of which tenant the last token is, by its claim ``tid``; empty before the first, and when it is
            opaque.
    """

    def __init__(self, tenant: Tenant, *, clock: Clock, timeout: float = 20.0) -> None:
        self._tenant = tenant
        self._clock = clock
        self._timeout = timeout
        self._held: _Held | None = None
        self._dropped = -math.inf
        self._failure: tuple[float, AuthError] | None = None
        self._flight = SingleFlight(self._renew)
        self._thread: _Thread | None = None
        self.tenant_guid = ""

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

    def begin(self) -> None:
        """Begin to sign in, in the running loop; whoever asks for the token meanwhile gets what comes of it."""
        self._flight.start()

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
        import jwt  # noqa: PLC0415 - it loads cryptography, which only who looks into a token needs

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
        self.tenant_guid = tenant_of(held.header) or self.tenant_guid

    async def _acquire(self) -> _Held:
        if self._thread is None:
            self._thread = _Thread(self._tenant, self._clock, self._timeout)
        asked, asked_at = self._clock.monotonic(), self._clock.now()
        try:
            async with asyncio.timeout(longest_sign_in(self._tenant, self._timeout)):
                token, lifetime = await asyncio.wrap_future(self._thread.token())
        except TimeoutError as error:
            self._abandon()
            raise unreachable(self._tenant, "the login host did not answer in time", UNREACHABLE_REMEDY) from error
        ahead = min(REFRESH_AHEAD, lifetime / 2)
        return _Held(
            f"Bearer {token}", asked + lifetime - ahead, asked + lifetime, asked_at + timedelta(seconds=lifetime)
        )

    def _abandon(self) -> Future[None] | None:
        """Leave the thread to itself, for it may hang in the network; the next sign-in gets another."""
        thread, self._thread = self._thread, None
        return None if thread is None else thread.end()


def tenant_of(token: str) -> str:
    """Return the GUID of the tenant that a token is of, by its claim ``tid`` (access-token-claims docs), or nothing."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["tid"]
    except (LookupError, TypeError, ValueError):
        return ""
    return found.lower() if isinstance(found, str) else ""


class _Thread:
    """The thread of a tenant's sign-ins. It loads MSAL itself, while the rest of a start goes on."""

    def __init__(self, tenant: Tenant, clock: Clock, timeout: float) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=f"sign-in-{tenant.name}")
        self._tenant = tenant
        self._clock = clock
        self._timeout = timeout
        self._closing = threading.Event()
        self._sign_in: SignIn | None = None

    def token(self) -> Future[tuple[str, float]]:
        """Have it sign in; see `SignIn.token`."""
        return self._threads.submit(self._token)

    def end(self) -> Future[None]:
        """Let it end once what it does now is over, which the result tells."""
        self._closing.set()
        closed = self._threads.submit(self._close)
        self._threads.shutdown(wait=False)
        return closed

    def _token(self) -> tuple[str, float]:
        from postroom.graph.sign_in import SignIn  # noqa: PLC0415 - see above

        if self._sign_in is None:
            self._sign_in = SignIn(self._tenant, self._clock, self._timeout, self._closing)
        return self._sign_in.token()

    def _close(self) -> None:
        if self._sign_in is not None:
            self._sign_in.close()
