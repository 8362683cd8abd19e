"""Kill the daemon at every failure point and at random, and see that nothing is lost.

Real daemons run against simulated tenants, in lanes beside each other; mail comes all the time. Each is killed at every
failure point several times, by SIGKILL at random instants, and by power cuts that take the tail of the journal's log.
At the end what the tenants know is compared with the journals and with ledgers that the handlers keep of their own.

Usage: python -m crash [--kills 220] [--deliveries 20000] [--seed N] [--lanes 4] [--write PAGE] [--check]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from crash.lane import Death, Lane
from crash.plan import Life, plan
from crash.table import Result, gather, markdown, summary, verdict, write
from postroom.failpoints import POINTS

DELIVERIES_A_MAIL = 1.11
LEAST_KILLS, LEAST_DELIVERIES = 200, 20_000


def main() -> int:
    """Run, print, and say by the exit code whether the promises were kept."""
    options = _options()
    began = time.monotonic()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of a client that was killed
    with tempfile.TemporaryDirectory(prefix="postroom-crash-", ignore_cleanup_errors=True) as directory:
        result = asyncio.run(_run(options, Path(directory)))
        wrong = verdict(result, LEAST_KILLS, LEAST_DELIVERIES)
        if wrong and options.keep:
            Path(directory).rename(options.keep)
    table = f"{markdown(result, dict(POINTS))}\n\n{summary(result)}"
    print(table)
    if result.missed.total():
        print(f"Ended elsewhere, counted as random: {dict(+result.missed)}", file=sys.stderr)
    print(f"Seed {options.seed}, {time.monotonic() - began:.0f} s.", file=sys.stderr)
    for each in wrong:
        print(f"FAILED: {each}", file=sys.stderr)
    if options.write and not options.check and not wrong:
        write(options.write, table)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="crash", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=LEAST_KILLS + 20)
    parser.add_argument("--deliveries", type=int, default=32_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the markers of this page")
    parser.add_argument("--check", action="store_true", help="print the table and write it nowhere")
    parser.add_argument("--keep", type=Path, help="where journals, ledgers and logs of a run that fails are kept")
    return parser.parse_args()


async def _run(options: argparse.Namespace, directory: Path) -> Result:
    first, lives = plan(tuple(POINTS), options.kills, options.seed)
    queue = deque(lives)
    lanes = [Lane(directory / f"lane{number}", number, options.seed + number) for number in range(options.lanes)]
    begun = [deque(first if number == 0 else ()) for number in range(options.lanes)]
    mails = int(options.deliveries / DELIVERIES_A_MAIL / (len(first) + len(lives))) + 1
    told = _teller(len(first) + len(lives))

    def next_of(own: deque[Life]) -> Life | None:
        return own.popleft() if own else queue.popleft() if queue else None

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(lane.run(lambda own=own: next_of(own), mails, told))
            for lane, own in zip(lanes, begun, strict=True)
        ]
    return gather(POINTS, [(lane.deaths, task.result()) for lane, task in zip(lanes, tasks, strict=True)])


def _teller(kills: int):
    """Return what says now and then how far it is."""
    count = 0
    began = time.monotonic()

    def told(_death: Death) -> None:
        nonlocal count
        count += 1
        if count % 20 == 0 or count == kills:
            print(f"{count} of {kills} kills, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    return told


if __name__ == "__main__":
    sys.exit(main())
