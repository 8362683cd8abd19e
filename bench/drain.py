"""CPU per message of the whole pipeline against a bare aiohttp + msgspec loop over the same pages, in one run.

The daemon is the real one, in its own process, with one no-op handler and its journal on disk; the server is canned, in
another process. Both sides fetch over https with gzip. The rounds alternate; a ratio is the median of theirs.

There are two yardsticks. `bare` is aiohttp + msgspec as they come, and the limit is for this one: it is what "a bare
aiohttp + msgspec loop" says, and what somebody who needs no Postroom would write. `bare + isal` unpacks gzip with isal
too, which is one of the daemon's own choices; its ratio says what the pipeline costs without the help of that choice,
and is printed beside the other so that nobody has to wonder.

Usage: drain.py [--messages 20000] [--page 50] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from server import HERE, Canned, cpu_seconds, environment, memory_mib, serving

LIMIT = 4.0
GOAL = 2.5
PATIENCE = 300.0

CONFIG = """\
version: 1
tenant:
  cloud: {{login: "{base}", graph: "{base}", ca_file: "{ca_file}"}}
  tenant_id: 11111111-1111-1111-1111-111111111111
  client_id: 22222222-2222-2222-2222-222222222222
  credential: {{client_secret: bench}}
journal: sqlite:///{directory}/journal.db
log: {{format: json}}
limits: {{page_size: {page}, concurrency: 400}}
handlers:
  noop: {{use: "{here}/noop.py:Noop", concurrency: 400}}
mailboxes:
  - address: bench@contoso.example
    poll: 60s
    start: all
    rules: [{{name: everything, handle: [noop]}}]
"""


@dataclass(frozen=True, slots=True)
class Result:
    """CPU seconds, wall seconds and peak MiB for a drain of `messages`; `start` is from exec to the first request."""

    messages: int
    cpu: float
    wall: float
    peak_mib: float
    start: float = 0.0

    @property
    def micros(self) -> float:
        """CPU microseconds per message."""
        return self.cpu / self.messages * 1e6


@dataclass(frozen=True, slots=True)
class Round:
    """Each of the three once, one after the other."""

    bare: Result
    isal: Result
    daemon: Result

    @property
    def ratio(self) -> float:
        """The daemon's CPU by that of the plain yardstick."""
        return self.daemon.micros / self.bare.micros

    @property
    def isal_ratio(self) -> float:
        """The daemon's CPU by that of the yardstick with isal."""
        return self.daemon.micros / self.isal.micros


def done_deliveries(database: Path) -> int:
    """Count settled deliveries, from outside the daemon."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5) as connection:
        return int(connection.execute("SELECT count(*) FROM deliveries WHERE state = 'done'").fetchone()[0])


def drain_daemon(canned: Canned, messages: int, page: int) -> Result:
    """Run the real daemon until every delivery is done; measured from its first page on."""
    with tempfile.TemporaryDirectory(prefix="postroom-bench-") as name:
        directory = Path(name)
        config = directory / "bench.yaml"
        config.write_text(
            CONFIG.format(base=canned.base, ca_file=canned.ca_file, directory=directory, page=page, here=HERE)
        )
        canned.ask("/bench/reset")
        command = [sys.executable, "-m", "postroom", "run", "-c", str(config)]
        executed = time.monotonic()
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stderr=log, env=environment())
        try:
            first = float(canned.ask("/bench/started"))
            start, before = time.monotonic(), cpu_seconds(daemon.pid)
            while (done := done_deliveries(directory / "journal.db")) < messages:
                if daemon.poll() is not None or time.monotonic() - start > PATIENCE:
                    sys.exit(f"the daemon settled {done} of {messages}:\n{(directory / 'log').read_text()[-2000:]}")
                time.sleep(0.05)  # noqa: TID251 - the daemon is watched from outside, so as not to cost it anything
            wall = time.monotonic() - start
            return Result(
                messages, cpu_seconds(daemon.pid) - before, wall, memory_mib(daemon.pid, "VmHWM"), first - executed
            )
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)


def drain_bare(canned: Canned, *choices: str) -> Result:
    """Run the bare loop, as it comes or with ``isal``."""
    start = time.monotonic()
    command = [sys.executable, str(HERE / "bare.py"), canned.base, canned.ca_file, *choices]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    return Result(answer["messages"], answer["cpu"], time.monotonic() - start, answer["peak_mib"])


def main() -> int:
    """Alternate, print what was measured, and fail when the ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--page", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with serving(options.messages, options.page) as canned:
        rounds = [one_round(canned, options.messages, options.page) for _ in range(options.rounds)]
    ratio = statistics.median(each.ratio for each in rounds)
    isal_ratio = statistics.median(each.isal_ratio for each in rounds)
    if options.json:
        print(as_json(rounds, ratio, isal_ratio))
    else:
        print(as_table(rounds, ratio, isal_ratio))
    return 0 if ratio <= LIMIT else 1


def one_round(canned: Canned, messages: int, page: int) -> Round:
    """Let each of the three drain the folder."""
    return Round(drain_bare(canned), drain_bare(canned, "isal"), drain_daemon(canned, messages, page))


def as_json(rounds: list[Round], ratio: float, isal_ratio: float) -> str:
    """Return what was measured as one line."""
    rows = [
        {
            "bare_us": each.bare.micros,
            "isal_us": each.isal.micros,
            "daemon_us": each.daemon.micros,
            "peak_mib": each.daemon.peak_mib,
            "start": each.daemon.start,
        }
        for each in rounds
    ]
    messages = rounds[0].daemon.messages
    return json.dumps({"messages": messages, "rounds": rows, "ratio": ratio, "isal_ratio": isal_ratio})


def as_table(rounds: list[Round], ratio: float, isal_ratio: float) -> str:
    """Return what was measured for a reader; us are microseconds of CPU a message."""
    head = f"{rounds[0].daemon.messages:,} messages: fetched, routed, journalled, handled by a no-op handler, settled"
    columns = "round   bare us   bare + isal us   daemon us   ratio   ratio to isal   daemon msg/s   daemon peak MiB"
    rows = [
        f"{number:5}   {each.bare.micros:7.1f}   {each.isal.micros:14.1f}   {each.daemon.micros:9.1f}"
        f"   {each.ratio:5.2f}   {each.isal_ratio:13.2f}"
        f"   {each.daemon.messages / each.daemon.wall:12,.0f}   {each.daemon.peak_mib:15.1f}"
        for number, each in enumerate(rounds, 1)
    ]
    limit = f"median ratio {ratio:.2f} (limit {LIMIT:g}, goal {GOAL:g})"
    result = f"{limit}; to the yardstick with isal {isal_ratio:.2f} (no limit)"
    return "\n".join([head, "", columns, *rows, "", result])


if __name__ == "__main__":
    sys.exit(main())
