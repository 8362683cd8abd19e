"""A long run: many mails through the real process, and whether its memory and its journal stay as large as they are.

A simulated tenant in a process of its own takes mail at an even rate into several mailboxes and deletes it a while
later. The daemon, another process, keeps a ledger of every mail, saves attachments, retries some, moves some, and
prunes its journal after some seconds. What it uses is sampled from outside.

It fails when a mail is missing, when resident memory after the first quarter grows by more than a tenth, or when the
journal is larger in the last quarter than a tenth above what it was in the second.

Usage: soak.py [--mails 100000] [--rate 220] [--mailboxes 25] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postroom.simulator.server import SimulatedTenant
from postroom.simulator.state.limits import Limits

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HERE = Path(__file__).parent
SNAPSHOTS, IDS, LIFE = 20, 60, 40
"""Seconds that the journal keeps details and ids, and that a mail exists."""
SAMPLE = 2.0
PATIENCE = 120.0
GROWTH = 1.1
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

CONFIG = """\
version: 1
tenant:
  cloud: {{login: "{login}", graph: "{graph}", ca_file: "{ca_file}"}}
  tenant_id: {tenant_id}
  client_id: {client_id}
  credential: {{client_secret: "{client_secret}"}}
journal: sqlite:///{directory}/journal.db
retention: {{snapshots: {snapshots}s, ids: {ids}s}}
log: {{format: json}}
handlers:
  ledger: {{use: "{here}/soak_ledger.py:Ledger", with: {{file: "{directory}/ledger"}}, concurrency: 100}}
  save: {{use: save_attachments, with: {{directory: "{directory}/saved"}}}}
mailboxes:
"""
MAILBOX = """\
  - address: {address}
    poll: 1s
    start: all
    rules:
      - {{name: files, when: {{has_attachments: true}}, handle: [save]}}
      - {{name: moved, when: {{subject: "move*"}}, handle: [log], then: {{move_to: Processed}}}}
      - {{name: everything, handle: [ledger]}}
"""
PLAIN = (
    "From: Ada <ada{who}@supplier.example>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{number}@soak.example>\r\n"
)
FILE = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nGood day.\r\n--b\r\n'
    'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="{number}.pdf"\r\n\r\n%PDF {number}\r\n'
    "--b--\r\n"
)


def mail(number: int, to: str) -> bytes:
    """Write a mail: one in ten has a file, one in twenty is to be moved."""
    subject = f"{'move' if number % 20 == 7 else 'mail'} {number}"  # noqa: PLR2004 - any of the twenty
    head = PLAIN.format(who=number % 500, to=to, subject=subject, number=number)
    text = FILE.format(number=number) if number % 10 == 3 else f"\r\n{'Dear customer, ' * 30}\r\n"  # noqa: PLR2004
    return (head + text).encode()


async def feed(tenant: SimulatedTenant, addresses: Sequence[str], mails: int, rate: float) -> None:
    """Deliver the mails at an even rate, and delete each some time later."""
    began, number = time.monotonic(), 0
    there: deque[tuple[float, Any, Any]] = deque()
    while number < mails or there:
        now = time.monotonic()
        while number < min(mails, int((now - began) * rate)):
            address = addresses[number % len(addresses)]
            there.append((now + LIFE, tenant.state.mailbox(address), tenant.deliver(address, mail(number, address))))
            number += 1
        while there and there[0][0] <= now:
            _, mailbox, message = there.popleft()
            mailbox.purge(message)
        await asyncio.sleep(0.05)


async def serve(pipe: Connection, directory: Path, addresses: Sequence[str], mails: int, rate: float) -> None:
    """Run the tenant until it is ended."""
    async with SimulatedTenant(directory, mailboxes=addresses, smtp=None) as tenant:
        tenant.state.limits = Limits(in_flight=100, requests=10**9, upload=10**12, app_requests=10**9, service_time=0)
        pipe.send({**tenant.describe(), "ca_file": str(tenant.ca_file)})
        await asyncio.to_thread(pipe.recv)
        await feed(tenant, addresses, mails, rate)
        await asyncio.Event().wait()


def run_server(pipe: Connection, directory: Path, addresses: Sequence[str], mails: int, rate: float) -> None:
    """Be the tenant's process."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    asyncio.run(serve(pipe, directory, addresses, mails, rate))


@dataclass(frozen=True)
class Sample:
    """What the daemon uses at one moment, seconds after its start."""

    at: float
    handled: int
    rss_mib: float
    journal_mib: float
    wal_mib: float
    files: int
    threads: int
    tasks: int
    cpu: float


def look(pid: int, directory: Path, began: float, ledger: Ledger) -> Sample:
    """Take a sample."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        at=time.monotonic() - began,
        handled=len(ledger.read()),
        rss_mib=int((process / "statm").read_text().split()[1]) * PAGE / 2**20,
        journal_mib=size(directory / "journal.db"),
        wal_mib=size(directory / "journal.db-wal"),
        files=len(list((process / "fd").iterdir())),
        threads=int(fields[17]),
        tasks=ledger.tasks,
        cpu=(int(fields[11]) + int(fields[12])) / TICKS,
    )


def size(file: Path) -> float:
    """Return the MiB of a file, which may not be there."""
    return file.stat().st_size / 2**20 if file.exists() else 0.0


class Ledger:
    """What the handler wrote: mail -> how often; read on from where the last reading ended."""

    def __init__(self, file: Path) -> None:
        self.runs: Counter[int] = Counter()
        self.tasks = 0
        self._file = file
        self._read = 0

    def read(self) -> Counter[int]:
        """Take in what was added."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                number, _, tasks = map(int, line.split())
                self.runs[number] += 1
                self.tasks = tasks
        return self.runs


def watch(daemon: subprocess.Popen[bytes], directory: Path, mails: int, rate: float) -> tuple[list[Sample], Ledger]:
    """Sample until every mail was handled and, a while later, pruned; a row is printed now and then."""
    began, ledger, samples = time.monotonic(), Ledger(directory / "ledger"), list[Sample]()
    print("     s   handled   RSS MiB   journal MiB   WAL MiB   files   threads   tasks   CPU s", flush=True)
    ended = None
    while ended is None or time.monotonic() < ended:
        time.sleep(SAMPLE)  # noqa: TID251 - the daemon is watched from outside
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended with {daemon.returncode}:\n{(directory / 'log').read_text()[-3000:]}")
        samples.append(look(daemon.pid, directory, began, ledger))
        if len(samples) % 15 == 1:
            print(row(samples[-1]), flush=True)
        if ended is None and samples[-1].handled >= mails:
            ended = time.monotonic() + SNAPSHOTS
        if time.monotonic() - began > mails / rate + PATIENCE:
            break
    return samples, ledger


def row(sample: Sample) -> str:
    """Return a line of the table."""
    return (
        f"{sample.at:6.0f}   {sample.handled:7,}   {sample.rss_mib:7.1f}   {sample.journal_mib:11.1f}"
        f"   {sample.wal_mib:7.1f}   {sample.files:5}   {sample.threads:7}   {sample.tasks:5}   {sample.cpu:5.0f}"
    )


def quarter(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    """Return one of the four quarters of the run, while mail came."""
    length = len(samples) // 4
    return samples[number * length : (number + 1) * length]


def verdict(samples: Sequence[Sample], ledger: Ledger, mails: int) -> dict[str, Any]:
    """Return the figures that count, and under ``failed`` what is wrong with them."""
    coming = [sample for sample in samples if sample.handled < mails] or samples
    early, late = quarter(coming, 1), quarter(coming, 3)
    rss = [statistics.median(sample.rss_mib for sample in part) for part in (early, late)]
    journal = [max(sample.journal_mib + sample.wal_mib for sample in part) for part in (early, late)]
    lost = mails - len(ledger.runs)
    failed = [
        text
        for wrong, text in (
            (lost, f"{lost} mails were not handled"),
            (rss[1] > rss[0] * GROWTH, f"memory grew from {rss[0]:.1f} to {rss[1]:.1f} MiB"),
            (journal[1] > journal[0] * GROWTH, f"the journal grew from {journal[0]:.1f} to {journal[1]:.1f} MiB"),
        )
        if wrong
    ]
    return {
        "mails": mails,
        "lost": lost,
        "repeated": sum(count > 1 for count in ledger.runs.values()),
        "seconds": round(coming[-1].at, 1),
        "cpu_us_per_mail": round(samples[-1].cpu / mails * 1e6),
        "rss_mib": [round(each, 1) for each in rss],
        "journal_mib": [round(each, 1) for each in journal],
        "failed": failed,
    }


def run(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start both sides, watch, and end them."""
    addresses = [f"soak{number}@contoso.example" for number in range(options.mailboxes)]
    (directory / "tenant").mkdir()
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, directory / "tenant", addresses, options.mails, options.rate)
    server = multiprocessing.get_context("spawn").Process(target=run_server, args=arguments)
    server.start()
    try:
        facts = {**ours.recv(), "directory": directory, "here": HERE, "snapshots": SNAPSHOTS, "ids": IDS}
        config = directory / "soak.yaml"
        config.write_text(CONFIG.format(**facts) + "".join(MAILBOX.format(address=each) for each in addresses))
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen([sys.executable, "-m", "postroom", "run", "-c", str(config)], stderr=log)
        try:
            ours.send("begin")
            samples, ledger = watch(daemon, directory, options.mails, options.rate)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
    finally:
        server.terminate()
        server.join(10)
    result = verdict(samples, ledger, options.mails)
    if options.json:
        samples_of = [asdict(sample) for sample in samples]
        options.json.write_text(json.dumps({**result, "samples": samples_of}, indent=1))
    return result


def main() -> int:
    """Run, print what was found, and fail when something grew or was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=220.0)
    parser.add_argument("--mailboxes", type=int, default=25)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postroom-soak-") as directory:
        found = run(Path(directory), options)
    (rss, later), (journal, after) = found["rss_mib"], found["journal_mib"]
    print(
        f"\n{found['mails']:,} mails in {found['seconds']:.0f} s: {found['lost']} lost, {found['repeated']} repeated, "
        f"{found['cpu_us_per_mail']} us of CPU each.\n"
        f"Resident memory in the second and the last quarter: {rss} and {later} MiB ({later / rss - 1:+.1%}).\n"
        f"Largest journal in the second and the last quarter: {journal} and {after} MiB ({after / journal - 1:+.1%})."
    )
    for each in found["failed"]:
        print(f"FAILED: {each}", file=sys.stderr)
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
