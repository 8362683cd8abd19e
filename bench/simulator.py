"""How many idle delta polls a second the simulated tenant answers: python bench/simulator.py [SECONDS].

One process serves (over plain HTTP, with sign-in), this one asks: as many connections as CONNECTIONS, each polling the
inboxes of MAILBOXES in turn, links kept, nothing new in any. Server and client share the machine; the CPU time of the
server alone is printed too.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import tempfile
import time
from multiprocessing import Pipe, Process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postroom.simulator.server import SimulatedTenant

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MAILBOXES = 200
CONNECTIONS = 16
FORM = "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={graph}/.default"


async def serve(pipe: Connection) -> None:
    """Run the tenant until told to end; then say what it cost."""
    addresses = [f"user{number}@contoso.example" for number in range(MAILBOXES)]
    with tempfile.TemporaryDirectory() as directory:
        async with SimulatedTenant(Path(directory), mailboxes=addresses, smtp=None, tls=False) as tenant:
            pipe.send(tenant.describe())
            for _ in range(2):
                await asyncio.to_thread(pipe.recv)
                used = resource.getrusage(resource.RUSAGE_SELF)
                pipe.send(used.ru_utime + used.ru_stime)


def run_server(pipe: Connection) -> None:
    """Be the server's process."""
    asyncio.run(serve(pipe))


class Wire:
    """One keep-alive connection, read with as little as will do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, head: bytes, body: bytes = b"") -> bytes:
        """Send a request and return the body of its answer; raises RuntimeError unless it is a 200."""
        self._writer.write(head + body)
        headers = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", headers)
        content = await self._reader.readexactly(int(length[1])) if length else b""
        if not headers.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(headers.decode() + content.decode())
        return content


async def connect(place: str) -> Wire:
    """Open a connection to ``host:port``."""
    host, _, port = place.rpartition(":")
    return Wire(*await asyncio.open_connection(host, int(port)))


async def token(wire: Wire, place: str, facts: dict[str, Any]) -> str:
    """Sign in."""
    form = FORM.format(id=facts["client_id"], secret=facts["client_secret"], graph=facts["graph"]).encode()
    head = (
        f"POST /{facts['tenant_id']}/oauth2/v2.0/token HTTP/1.1\r\nHost: {place}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    return str(json.loads(await wire.ask(head.encode(), form))["access_token"])


async def poll(wire: Wire, heads: list[bytes], until: float) -> int:
    """Poll some mailboxes in turn; returns how often."""
    count = 0
    while time.monotonic() < until:
        await wire.ask(heads[count % len(heads)])
        count += 1
    return count


async def measure(facts: dict[str, Any], pipe: Connection, seconds: float) -> None:
    """Take every first round, then poll for some seconds."""
    place = facts["graph"].partition("//")[2]
    wires = [await connect(place) for _ in range(CONNECTIONS)]
    tail = f" HTTP/1.1\r\nHost: {place}\r\nAuthorization: Bearer {await token(wires[0], place, facts)}\r\n\r\n"
    heads = []
    for address in facts["mailboxes"]:
        path = f"/v1.0/users/{address}/mailFolders/inbox/messages/delta"
        page = json.loads(await wires[0].ask(f"GET {path}{tail}".encode()))
        heads.append(f"GET {page['@odata.deltaLink'].removeprefix(facts['graph'])}{tail}".encode())
    pipe.send("begin")
    before, began = pipe.recv(), time.monotonic()
    shares = [heads[number::CONNECTIONS] for number in range(CONNECTIONS)]
    counts = await asyncio.gather(*(poll(*pair, began + seconds) for pair in zip(wires, shares, strict=True)))
    took = time.monotonic() - began
    pipe.send("end")
    used, total = pipe.recv() - before, sum(counts)
    print(f"{total} idle polls of {len(heads)} mailboxes over {CONNECTIONS} connections in {took:.1f} s:")
    print(f"{total / took:.0f} a second, {used / total * 1e6:.0f} microseconds of the server's CPU each")


def main() -> None:
    """Run both sides."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    ours, theirs = Pipe()
    server = Process(target=run_server, args=(theirs,))
    server.start()
    try:
        asyncio.run(measure(ours.recv(), ours, seconds))
    finally:
        server.join(10)
        if server.is_alive():
            server.terminate()


if __name__ == "__main__":
    main()
