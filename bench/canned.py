"""A canned server in its own process: a token, and one folder of prepared delta pages, over https with gzip.

Usage: canned.py DIRECTORY MESSAGES PAGE. Prints one line of JSON when it listens. `GET /bench/started` answers when the
first page was asked for, with the time of the first Graph request (CLOCK_MONOTONIC, which all processes share), and
`GET /bench/polls` with how many pages were asked for. Without messages every folder is empty, whatever it is called.
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

WORDS = (
    *("invoice", "order", "delivery", "report", "monthly", "contract", "payment", "reminder", "ticket", "meeting"),
    *("attached", "please", "confirm", "regarding", "the", "of", "your", "our", "until", "before", "with", "number"),
    *("account", "customer", "service", "total", "amount", "quarter", "shipment", "address"),
)
FOREIGN = (
    *("Überweisung", "Rückfrage", "für", "Grüße", "Prüfung", "façade", "créé", "été", "réception", "livraison"),
    *("παραγγελία", "τιμολόγιο", "συνάντηση", "счёт", "договор", "отгрузка", "напоминание", "отчёт", "żądanie"),
    *("płatność", "zamówienie", "請求書", "会議", "納品", "注文", "契約", "お知らせ"),
)
STORE = random.Random(3).randbytes(100)
ZERO = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN_BYTES = 1700
"""An access token of an app with some roles."""
HEADERS = {
    "Cache-Control": "private",
    "Content-Type": "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8",
    "Vary": "Accept-Encoding",
    "Strict-Transport-Security": "max-age=31536000",
    "request-id": "5b0ff0a5-7a1c-4b7e-9d52-3f1f1a4f0c11",
    "client-request-id": "5b0ff0a5-7a1c-4b7e-9d52-3f1f1a4f0c11",
    "x-ms-ags-diagnostic": '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"002"}}',
    "x-ms-resource-unit": "1",
    "Preference-Applied": 'IdType="ImmutableId", odata.maxpagesize=50',
    "OData-Version": "4.0",
}
"""With the server's own four, as many as Graph sends with a page."""


def immutable_id(number: int) -> str:
    """Write an id as long as Exchange's: the same store and mailbox in front, a counter near the end."""
    return urlsafe_b64encode(STORE + (0x1A2B3C000000 + number).to_bytes(8, "big") + bytes(4)).decode()


def text(chance: random.Random, words: int, *, foreign: bool) -> str:
    """Write a line, in English or in words from all over the world."""
    return " ".join(chance.choices(FOREIGN if foreign else WORDS, k=words))


def person(number: int, *, foreign: bool) -> dict[str, object]:
    """Return one of the mailbox's correspondents, who are always called the same."""
    name = text(random.Random(number), 2, foreign=foreign).title()
    return {"emailAddress": {"name": name, "address": f"correspondent{number}@supplier{number % 400}.example"}}


MAILBOX = {"emailAddress": {"name": "Bench", "address": "bench@contoso.example"}}
PEOPLE = [person(number, foreign=number % 2 == 0) for number in range(5000)]


def message(number: int, chance: random.Random) -> dict[str, object]:
    """One entry as Graph sends it for the daemon's $select: the 2-10 kB body is not selected."""
    foreign = number % 2 == 0
    sender = chance.choice(PEOPLE)
    when = (ZERO + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "@odata.type": "#microsoft.graph.message",
        "@odata.etag": f'W/"{urlsafe_b64encode(chance.randbytes(30)).decode()}"',
        "id": immutable_id(number),
        "receivedDateTime": when,
        "sentDateTime": when,
        "hasAttachments": number % 3 == 0,
        "internetMessageId": f"<{chance.randbytes(24).hex().upper()}@mail.supplier.example>",
        "subject": text(chance, 8, foreign=foreign),
        "bodyPreview": text(chance, 40, foreign=foreign)[:255],
        "importance": "normal",
        "parentFolderId": urlsafe_b64encode(STORE[:90]).decode(),
        "conversationId": urlsafe_b64encode(STORE[:80] + chance.randbytes(16)).decode(),
        "isRead": False,
        "categories": [],
        "sender": sender,
        "from": sender,
        "toRecipients": [MAILBOX, *chance.choices(PEOPLE, k=number % 5)],
        "ccRecipients": chance.choices(PEOPLE, k=number % 4),
        "replyTo": [sender] if number % 4 == 0 else [],
    }


def make_pages(base: str, messages: int, size: int) -> list[tuple[bytes, bytes]]:
    """Return (plain, gzip) bodies of all pages; the last carries the delta link."""
    chance = random.Random(7)
    state = [urlsafe_b64encode(chance.randbytes(180)).decode() for _ in range(messages // size + 1)]
    folder = f"{base}/v1.0/users/bench@contoso.example/mailFolders/inbox/messages/delta"
    count = messages // size
    pages = []
    for page in range(count):
        last = page == count - 1
        link = f"{folder}?{'$deltatoken' if last else '$skiptoken'}={page + 1}.{state[page]}"
        body = {
            "@odata.context": f"{base}/v1.0/$metadata#Collection(message)",
            "@odata.deltaLink" if last else "@odata.nextLink": link,
            "value": [message(page * size + each, chance) for each in range(size)],
        }
        plain = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        pages.append((plain, gzip.compress(plain, 6)))
    return pages


class Canned:
    """The handlers; state is the list of pages and when the present run began."""

    def __init__(self, messages: int, size: int) -> None:
        self.messages, self.size = messages, size
        self.base = ""
        self.pages: list[tuple[bytes, bytes]] = []
        self.started = asyncio.Event()
        self.first = 0.0
        self.polls = 0

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
        claims = {
            "aud": self.base,
            "roles": ["Mail.ReadWrite"],
            "wids": "x" * (TOKEN_BYTES * 3 // 4),
            "iat": now,
            "nbf": now,
            "exp": now + 3599,
        }
        token = jwt.encode(claims, "bench" * 8, "HS256")
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    async def _folder(self, _: web.Request) -> web.Response:
        self.first = self.first or time.monotonic()
        return web.Response(body=b'{"id": "inbox", "displayName": "Inbox"}', headers=HEADERS)

    async def _delta(self, request: web.Request) -> web.Response:
        self.first = self.first or time.monotonic()
        self.polls += 1
        self.started.set()
        if "$deltatoken" in request.query or not self.pages:
            link = f"{self.base}{request.path}?$deltatoken={'x' * 240}"
            return web.Response(body=json.dumps({"@odata.deltaLink": link, "value": []}).encode(), headers=HEADERS)
        plain, packed = self.pages[int(request.query.get("$skiptoken", "0").partition(".")[0])]
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=plain, headers=HEADERS)
        return web.Response(body=packed, headers={**HEADERS, "Content-Encoding": "gzip"})

    async def _listing(self, _: web.Request) -> web.Response:
        """The reconciler compares a folder's listing with the journal: nothing is in there that it does not have."""
        return web.Response(body=b'{"value": []}', headers=HEADERS)

    async def _wait_started(self, _: web.Request) -> web.Response:
        await self.started.wait()
        return web.Response(text=str(self.first))

    async def _polls(self, _: web.Request) -> web.Response:
        return web.Response(text=str(self.polls))

    async def _reset(self, _: web.Request) -> web.Response:
        self.started.clear()
        self.first = 0.0
        return web.Response(text="reset")

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_get("/v1.0/users/{user}/mailFolders/{folder}/messages/delta", self._delta)
        app.router.add_get("/v1.0/users/{user}/mailFolders/{folder}/messages", self._listing)
        app.router.add_get("/v1.0/users/{user}/mailFolders/{folder}", self._folder)
        app.router.add_get("/bench/started", self._wait_started)
        app.router.add_get("/bench/polls", self._polls)
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
