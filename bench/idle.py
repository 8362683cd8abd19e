"""CPU of an idle poll: a folder is asked whether there is anything new, and there is not.

The daemon is the real one, with as many mailboxes as asked for; the server is canned, in another process. The yardstick
is a bare aiohttp loop that asks the same server as often, over as many mailboxes, in groups of as many as fall due in
the daemon's 250 ms; it decodes what comes and keeps the link, and does nothing else. Whatever the daemon does besides
polling (its tick, health, the watchdog) counts as its polls' cost.

Usage: idle.py [--mailboxes 300] [--poll 5] [--seconds 20] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

import bare
from server import Canned, cpu_seconds, environment, memory_mib, serving

BUDGET = 1.5
TICK = 0.25
CONFIG = """\
version: 1
tenant:
  cloud: {{login: "{base}", graph: "{base}", ca_file: "{ca_file}"}}
  tenant_id: 11111111-1111-1111-1111-111111111111
  client_id: 22222222-2222-2222-2222-222222222222
  credential: {{client_secret: bench}}
journal: sqlite:///{directory}/journal.db
log: {{format: json}}
handlers:
  log: {{use: log}}
mailboxes:
{mailboxes}
"""
MAILBOX = """\
  - {{address: user{number}@contoso.example, poll: {poll}s, start: now, rules: [{{name: all, handle: [log]}}]}}
"""


@dataclass(frozen=True, slots=True)
class Idle:
    """What idle polls cost: how many there were, the CPU seconds they took, and MiB resident."""

    polls: int
    cpu: float
    mib: float

    @property
    def micros(self) -> float:
        """CPU microseconds a poll."""
        return self.cpu / self.polls * 1e6


def idle_daemon(canned: Canned, mailboxes: int, poll: float, seconds: float) -> Idle:
    """Run the daemon, let the first rounds pass, and measure for some seconds."""
    with tempfile.TemporaryDirectory(prefix="postroom-bench-") as name:
        config = Path(name, "bench.yaml")
        entries = "".join(MAILBOX.format(number=number, poll=f"{poll:g}") for number in range(mailboxes))
        text = CONFIG.format(base=canned.base, ca_file=canned.ca_file, directory=name, mailboxes=entries)
        config.write_text(text)
        with Path(name, "log").open("wb") as log:
            command = [sys.executable, "-m", "postroom", "run", "-c", str(config)]
            daemon = subprocess.Popen(command, stderr=log, env=environment())
        try:
            canned.ask("/bench/started")
            wait(2 * poll + 3)
            before, polls = cpu_seconds(daemon.pid), int(canned.ask("/bench/polls"))
            wait(seconds)
            cpu, polled = cpu_seconds(daemon.pid) - before, int(canned.ask("/bench/polls")) - polls
            return Idle(polled, cpu, memory_mib(daemon.pid, "VmRSS"))
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)


def wait(seconds: float) -> None:
    """Let the daemon be."""
    time.sleep(seconds)  # noqa: TID251 - it is watched from outside for a time


async def idle_bare(canned: Canned, mailboxes: int, poll: float, seconds: float) -> Idle:
    """Ask as often, in groups, in this process."""
    context = ssl.create_default_context(cafile=canned.ca_file)
    decode = msgspec.json.Decoder(bare.Page).decode
    links = [
        f"{canned.base}/v1.0/users/user{number}@contoso.example/mailFolders/inbox/messages/delta"
        for number in range(mailboxes)
    ]

    async def ask(number: int) -> None:
        async with session.get(links[number], headers=bare.HEADERS) as response:
            response.raise_for_status()
            links[number] = decode(await response.read()).delta or links[number]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        group = max(round(mailboxes / poll * TICK), 1)
        turn, begun = 0, 0.0
        loop = asyncio.get_running_loop()
        start = loop.time()
        warm, polls = start + poll, 0
        while (now := loop.time()) < warm + seconds:
            if now >= warm and not begun:
                begun = time.process_time()
            polls += group if begun else 0
            await asyncio.gather(*(ask((turn * group + each) % mailboxes) for each in range(group)))
            turn += 1
            await asyncio.sleep(max(start + turn * TICK - loop.time(), 0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Idle(polls, time.process_time() - begun, peak)


def main() -> int:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mailboxes", type=int, default=300)
    parser.add_argument("--poll", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with serving(0, 50) as canned:
        daemon = idle_daemon(canned, options.mailboxes, options.poll, options.seconds)
        loop = asyncio.run(idle_bare(canned, options.mailboxes, options.poll, options.seconds))
    ratio = daemon.micros / loop.micros
    if options.json:
        print(json.dumps({"bare_us": loop.micros, "daemon_us": daemon.micros, "ratio": ratio, "mib": daemon.mib}))
        return 0
    print(f"{options.mailboxes} mailboxes, each polled every {options.poll:g} s, nothing new in any\n")
    print("           polls   us of CPU a poll   resident MiB")
    for name, each in (("bare", loop), ("daemon", daemon)):
        print(f"{name:8} {each.polls:7}   {each.micros:16.0f}   {each.mib:12.1f}")
    print(f"\nratio {ratio:.2f} (budget {BUDGET:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
