"""How long from exec to the first Graph request, how much CPU it takes, and how much memory is resident then.

The daemon is the real one; the server is canned, in another process, so that signing in takes no time to speak of. The
first start of a daemon makes the journal's schema, every later one finds it: both are measured, each in turn.

Usage: start.py [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from drain import CONFIG
from server import HERE, Canned, cpu_seconds, environment, memory_mib, serving

BUDGET = 0.5


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from exec to the first Graph request; CPU seconds used, and MiB resident, just after it."""

    seconds: float
    cpu: float
    mib: float


def start(canned: Canned, config: Path) -> Start:
    """Start the daemon, wait for its first request, and end it."""
    canned.ask("/bench/reset")
    executed = time.monotonic()
    with config.with_name("log").open("wb") as log:
        command = [sys.executable, "-m", "postroom", "run", "-c", str(config)]
        daemon = subprocess.Popen(command, stderr=log, env=environment())
    try:
        first = float(canned.ask("/bench/started"))
        return Start(first - executed, cpu_seconds(daemon.pid), memory_mib(daemon.pid, "VmRSS"))
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)


def main() -> int:
    """Alternate the two kinds of start and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    new: list[Start] = []
    again: list[Start] = []
    with serving(0, 50) as canned:
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="postroom-bench-") as name:
                config = Path(name, "bench.yaml")
                config.write_text(
                    CONFIG.format(base=canned.base, ca_file=canned.ca_file, directory=name, page=50, here=HERE)
                )
                new.append(start(canned, config))
                again.append(start(canned, config))
    report(new, again, as_json=options.json)
    return 0


def report(new: list[Start], again: list[Start], *, as_json: bool) -> None:
    """Print the medians."""
    rows = {
        name: {
            "seconds": statistics.median(each.seconds for each in starts),
            "fastest": min(each.seconds for each in starts),
            "cpu": statistics.median(each.cpu for each in starts),
            "mib": statistics.median(each.mib for each in starts),
        }
        for name, starts in (("new journal", new), ("journal there", again))
    }
    if as_json:
        print(json.dumps(rows))
        return
    print(f"From exec to the first Graph request, median of {len(new)} (budget {BUDGET:g} s)\n")
    print("start           median s   fastest s   median CPU s   resident MiB")
    for name, row in rows.items():
        print(f"{name:14}   {row['seconds']:7.2f}   {row['fastest']:9.2f}   {row['cpu']:12.2f}   {row['mib']:12.1f}")


if __name__ == "__main__":
    sys.exit(main())
