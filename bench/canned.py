"""A canned server in its own process: a token, and one folder of prepared delta pages, over https with gzip.

Usage: canned.py DIRECTORY MESSAGES PAGE. Prints one line of JSON when it listens; `GET /bench/started` answers when the
first page was asked for.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from aiohttp import web

from postroom.simulator.tls import make_authority, server_context, write_private

WORDS = ("invoice", "order", "delivery", "report", "monthly", "contract", "payment", "reminder", "ticket", "meeting")
STORE = random.Random(3).randbytes(100)
ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def immutable_id(number: int) -> str:
    """Write an id as long as Exchange's: the same store and mailbox in front, a counter near the end."""
    return urlsafe_b64encode(STORE + (0x1A2B3C000000 + number).to_bytes(8, "big") + bytes(4)).decode()


def message(number: int, chance: random.Random) -> dict[str, object]:
    """One entry as Graph sends it for the daemon's $select: the 2-10 kB body is not selected."""
    person = {"emailAddress": {"name": f"Sender {number % 97}", "address": f"sender{number % 97}@supplier.example"}}
    when = (ZERO + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = f"{chance.getrandbits(800):0200x}"
    return {
        "@odata.type": "#microsoft.graph.message",
        "@odata.etag": f'W/"{token[:40]}"',
        "id": immutable_id(number),
        "receivedDateTime": when,
        "sentDateTime": when,
        "hasAttachments": number % 3 == 0,
        "internetMessageId": f"<{token[:32]}@mail.supplier.example>",
        "subject": " ".join(chance.choices(WORDS, k=7)),
        "bodyPreview": " ".join(chance.choices(WORDS, k=34))[:255],
        "importance": "normal",
        "parentFolderId": f"AQMkADhAAAEMAAAA{token[:60]}",
        "conversationId": f"AAQkADhAAAEMAAAA{token[60:124]}",
        "isRead": False,
        "categories": [],
        "sender": person,
        "from": person,
        "toRecipients": [{"emailAddress": {"name": "Bench", "address": "bench@contoso.example"}}],
        "ccRecipients": [],
        "replyTo": [],
    }


def make_pages(base: str, messages: int, size: int) -> list[tuple[bytes, bytes]]:
    """Return (plain, gzip) bodies of all pages; the last carries the delta link."""
    chance = random.Random(7)
    folder = f"{base}/v1.0/users/bench@contoso.example/mailFolders/inbox/messages/delta"
    count = messages // size
    pages = []
    for page in range(count):
        last = page == count - 1
        link = f"{folder}?$deltatoken=done" if last else f"{folder}?$skiptoken={page + 1}"
        body = {
            "@odata.context": f"{base}/v1.0/$metadata#Collection(message)",
            "@odata.deltaLink" if last else "@odata.nextLink": link,
            "value": [message(page * size + each, chance) for each in range(size)],
        }
        plain = json.dumps(body).encode()
        pages.append((plain, gzip.compress(plain, 6)))
    return pages


class Canned:
    """The handlers; state is the list of pages and the time of the first request for one."""

    def __init__(self, messages: int, size: int) -> None:
        self.messages, self.size = messages, size
        self.base = ""
        self.pages: list[tuple[bytes, bytes]] = []
        self.started = asyncio.Event()

    async def _discovery(self, request: web.Request) -> web.Response:
        tenant = f"{self.base}/{request.match_info['tenant']}"
        return web.json_response(
            {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "jwks_uri": f"{tenant}/discovery/v2.0/keys",
            }
        )

    async def _token(self, _: web.Request) -> web.Response:
        now = int(time.time())
        claims = {"aud": self.base, "roles": ["Mail.ReadWrite"], "iat": now, "nbf": now, "exp": now + 3599}
        token = jwt.encode(claims, "bench" * 8, "HS256")
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    async def _folder(self, _: web.Request) -> web.Response:
        return web.json_response({"id": "inbox", "displayName": "Inbox"})

    async def _delta(self, request: web.Request) -> web.Response:
        self.started.set()
        if "$deltatoken" in request.query:
            link = f"{self.base}{request.path_qs}"
            return web.json_response({"@odata.deltaLink": link, "value": []})
        plain, packed = self.pages[int(request.query.get("$skiptoken", 0))]
        headers = {"Content-Type": "application/json;odata.metadata=minimal;charset=utf-8"}
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=plain, headers=headers)
        return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})

    async def _wait_started(self, _: web.Request) -> web.Response:
        await self.started.wait()
        return web.Response(text="started")

    async def _reset(self, _: web.Request) -> web.Response:
        self.started.clear()
        return web.Response(text="reset")

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_get("/v1.0/users/{user}/mailFolders/{folder}/messages/delta", self._delta)
        app.router.add_get("/v1.0/users/{user}/mailFolders/{folder}", self._folder)
        app.router.add_get("/bench/started", self._wait_started)
        app.router.add_get("/bench/reset", self._reset)
        return app


async def main(directory: Path, messages: int, size: int) -> None:
    """Serve until the process is ended."""
    canned = Canned(messages, size)
    runner = web.AppRunner(canned.app(), access_log=None)
    await runner.setup()
    authority = make_authority()
    ca_file = write_private(directory / "ca.pem", authority.pem())
    context = server_context(write_private(directory / "server.pem", authority.server_pem(["127.0.0.1"])))
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    canned.base = f"https://127.0.0.1:{port}"
    canned.pages = make_pages(canned.base, messages, size)
    print(json.dumps({"base": canned.base, "ca_file": str(ca_file)}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
