"""`webhook`: a signed JSON POST for each mail."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self

import aiohttp
from pydantic import ByteSize, Field, HttpUrl, SecretStr, field_validator, model_validator

from postroom.handlers import payload
from postroom.handlers.duration import Duration
from postroom.handlers.standard_webhooks import keys, sign, webhook_id
from postroom.plugin import (
    Context,
    Done,
    Handler,
    HandlerError,
    Message,
    Options,
    Outcome,
    Reject,
    Retry,
    TemporaryError,
)

LONGEST_RETRY_AFTER = 24 * 3600.0
"""Seconds; a receiver that asks for more is asked again after this."""

_OWN_HEADERS = {"content-type", "content-length", "host", "webhook-id", "webhook-timestamp", "webhook-signature"}
_TRY_AGAIN = {408, 425, 429}


class WebhookOptions(Options):
    """Where to post, and what."""

    url: HttpUrl
    """Where the mail is posted to: https, or http on this host; see `allow_http`."""

    secret: SecretStr | None = None
    """Secret the request is signed with: `whsec_` and base64, or any text. Without one the request is not signed."""

    secret_file: Path | None = None
    """File that holds the secret, read again for each mail. Several lines are several secrets: each of them signs."""

    include: frozenset[payload.Part] = frozenset()
    """What to send besides the metadata: `body`, `headers`, `attachments`."""

    max_body: int = Field(default=100_000, ge=0)
    """Most characters of the text; the rest is cut off."""

    max_attachments: ByteSize = ByteSize(10_000_000)
    """Most bytes of all attachments together; those beyond it are listed without their content."""

    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """More headers for the request, such as `Authorization`."""

    timeout: Duration = Field(default=20.0, gt=0, le=600)
    """Seconds, or such as `20s`, until a request without an answer is given up, and tried again later."""

    allow_http: bool = False
    """Post over http to another host: the mail's data can be read on the way."""

    @field_validator("headers")
    @classmethod
    def _headers_are_ours_to_add(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"the header {name} is set by the handler itself")
            if not name.isascii() or not name or any(character in " \t\r\n:\0" for character in name):
                raise ValueError(f"{name!r} is no header name")
            if any(character in "\r\n\0" for character in value.get_secret_value()):
                raise ValueError(f"the value of the header {name} must be one line")
        return headers

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("secret and secret_file are both given: leave one of them out")
        if self.secret is not None:
            keys(self.secret.get_secret_value())
        if self.url.username or self.url.password:
            raise ValueError("url holds a user or a password: send them by `headers`, where they stay out of the log")
        if self.url.scheme == "http" and not self.allow_http and not _is_loopback(self.url.host or ""):
            raise ValueError("url is plain http to another host: use https, or set `allow_http: true`")
        return self


class Webhook(Handler[WebhookOptions]):
    """Post a mail's metadata as JSON, signed as Standard Webhooks."""

    async def open(self) -> None:
        """Read the secret once, so that a wrong one is found now."""
        try:
            await self._keys()
        except TemporaryError as error:
            raise HandlerError(error.message, remedy=error.remedy) from error

    def secrets(self) -> Mapping[str, Path]:
        """Name the file of the secret."""
        return {"secret_file": self.options.secret_file} if self.options.secret_file else {}

    def missing(self) -> Mapping[str, str]:
        """Look into the file of the secret; of one that cannot be read `secrets` has others say so."""
        file = self.options.secret_file
        try:
            if file is not None and file.is_file():
                keys(file.read_text(encoding="utf-8"))
        except OSError:
            return {}
        except ValueError as error:
            return {"secret_file": f"the secret in {file} cannot be used ({error})"}
        return {}

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Post one mail; the receiver can tell a repeat by its `webhook-id`."""
        body = await self._body(message, context)
        identifier = webhook_id(context.idempotency_key)
        headers = {name: value.get_secret_value() for name, value in self.options.headers.items()}
        headers |= {"content-type": "application/json"}
        headers |= sign(await self._keys(), identifier, int(context.now().timestamp()), body)
        try:
            status, retry_after = await self._post(context.http, headers, body)
        except TimeoutError:
            return Retry(f"{self._receiver} did not answer within {self.options.timeout:g} s.")
        except (aiohttp.ClientError, OSError) as error:
            return Retry(f"{self._receiver} could not be reached: {_why(error)}.")
        return verdict(status, seconds(retry_after, context.now()), self._receiver)

    async def _body(self, message: Message, context: Context) -> bytes:
        data = payload.metadata(message, context)
        data |= await payload.parts(context, self.options.include, self.options.max_body, self.options.max_attachments)
        event = {"type": "message.received", "timestamp": message.received_at.isoformat(), "data": data}
        return await asyncio.to_thread(lambda: json.dumps(event, separators=(",", ":")).encode())

    async def _post(self, session: aiohttp.ClientSession, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=self.options.timeout)
        async with session.post(
            str(self.options.url), data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            return response.status, response.headers.get("Retry-After", "")

    async def _keys(self) -> tuple[bytes, ...]:
        if self.options.secret is not None:
            return keys(self.options.secret.get_secret_value())
        if self.options.secret_file is None:
            return ()
        try:
            return keys(await asyncio.to_thread(self.options.secret_file.read_text, encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise TemporaryError(
                f"The secret in {self.options.secret_file} cannot be used: {why}.",
                remedy="Put `whsec_` and the base64 of 24 to 64 random bytes, or any text, into the file.",
            ) from error

    @property
    def _receiver(self) -> str:
        """The receiver without its path and query, which may hold secrets."""
        port = "" if self.options.url.port in {80, 443} else f":{self.options.url.port}"
        return f"{self.options.url.scheme}://{self.options.url.host}{port}"


def verdict(status: int, retry_after: float | None, receiver: str) -> Outcome:
    """Decide what the answer means (Standard Webhooks, status codes): temporary, or of no use to repeat."""
    answered = f"{receiver} answered {status}"
    if 200 <= status < 300:  # noqa: PLR2004 - 2xx as in HTTP
        return Done(note=answered)
    if status >= 500 or status in _TRY_AGAIN:  # noqa: PLR2004 - 5xx as in HTTP
        return Retry(f"{answered}.", after=retry_after)
    if 300 <= status < 400:  # noqa: PLR2004 - 3xx as in HTTP
        return Reject(f"{answered}, a redirect, which is not followed: set `url` to the new address.")
    return Reject(f"{answered}: it does not take this mail. Mend the receiver or the options, then retry by hand.")


def seconds(retry_after: str, now: datetime) -> float | None:
    """Read a `Retry-After` of seconds or a date (RFC 9110, 10.2.3); None when there is none that makes sense."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _why(error: Exception) -> str:
    """Say what went wrong on the way; the words of aiohttp may hold the whole address, so they are not used."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not trusted, or TLS failed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
