"""What a large simulated tenant costs: python bench/scale.py [MAILBOXES] [MESSAGES].

Measures a start. Then it delivers that many mails (1,000 mailboxes and 1,000,000 messages without arguments), each
parsed and written to disk as it comes, and prints how long that takes, the process's resident memory and the bytes on
disk; and how long a page of delta takes while all of it is there.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from postroom.simulator.server import SimulatedTenant
from postroom.simulator.state import TenantState

MAIL = (
    "From: Supplier {number} <supplier{number}@supplier.example>\r\nTo: {address}\r\nSubject: Invoice {number}\r\n"
    "Message-ID: <{number}@supplier.example>\r\nDate: Mon, 02 Mar 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n\r\nPlease find invoice {number}.\r\n{filler}"
)
FILLER = "Nothing to see here, and that at some length.\r\n" * 20


def resident() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def on_disk(directory: Path) -> float:
    """Return the MiB in a directory."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 2**20


def fill(state: TenantState, addresses: list[str], messages: int) -> None:
    """Deliver the mails, one mailbox after the other in turn."""
    began, before = time.perf_counter(), resident()
    for number in range(messages):
        address = addresses[number % len(addresses)]
        state.deliver_mime(address, MAIL.format(number=number, address=address, filler=FILLER).encode())
        if (number + 1) % max(messages // 10, 1) == 0:
            print(
                f"  {number + 1:>9,} messages  {resident():7.0f} MiB  {time.perf_counter() - began:6.1f} s", flush=True
            )
    grown = (resident() - before) * 2**20 / messages
    print(f"{grown:.0f} bytes of memory a message, {messages / (time.perf_counter() - began):,.0f} delivered a second")


async def started(directory: Path, addresses: list[str]) -> float:
    """Start a tenant and return the seconds until its first answer."""
    began = time.perf_counter()
    async with (
        SimulatedTenant(directory, mailboxes=addresses, smtp=None, tls=False) as tenant,
        aiohttp.ClientSession() as client,
        client.get(f"{tenant.login}/{tenant.tenant_id}/v2.0/.well-known/openid-configuration"),
    ):
        return time.perf_counter() - began


async def page(tenant: SimulatedTenant, address: str) -> float:
    """Sign in, take a page of a first delta round, and return the seconds for the page."""
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "scope": f"{tenant.graph}/.default",
    }
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{tenant.login}/{tenant.tenant_id}/oauth2/v2.0/token", data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        headers["Prefer"] = "odata.maxpagesize=100"
        began = time.perf_counter()
        async with client.get(
            f"{tenant.graph}/v1.0/users/{address}/mailFolders/inbox/messages/delta", headers=headers
        ) as answer:
            entries = (await answer.json())["value"]
        print(f"a delta page of {len(entries)} messages in {(time.perf_counter() - began) * 1000:.0f} ms")
        return time.perf_counter() - began


async def main() -> None:
    """Fill one tenant and ask it."""
    mailboxes = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000  # noqa: PLR2004 - the second argument
    addresses = [f"user{number}@contoso.example" for number in range(mailboxes)]
    with tempfile.TemporaryDirectory() as name:
        print(f"start with {mailboxes:,} empty mailboxes: {await started(Path(name, 'start'), addresses):.2f} s")
        async with SimulatedTenant(Path(name), mailboxes=addresses, smtp=None, tls=False) as tenant:
            print(f"{datetime.now(UTC):%H:%M} {mailboxes:,} mailboxes, {resident():.0f} MiB resident")
            fill(tenant.state, addresses, messages)
            print(f"{messages:,} messages: {resident():,.0f} MiB resident, {on_disk(Path(name)):,.0f} MiB on disk")
            await page(tenant, addresses[-1])


if __name__ == "__main__":
    asyncio.run(main())
