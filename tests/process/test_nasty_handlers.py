"""A handler ends, hangs, blocks or bloats the daemon over one mail: all others are handled, and that one is dead."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from postroom.errors import JournalError
from postroom.journal import JournalViews, open_journal
from support.daemon import MAILBOX
from support.pipeline import until
from support.supervisor import Supervisor

MAILS = 30
ATTEMPTS = 3
MIB = 2**20

NASTY = '''
import asyncio
import os
import time

from postroom.plugin import Context, Done, Handler, Message, Options


class NastyOptions(Options):
    """What becomes of the culprit, and where each run is noted."""

    how: str
    runs: str


class Nasty(Handler[NastyOptions]):
    """Do something nasty with one mail."""

    async def handle(self, message: Message, context: Context):
        with open(self.options.runs, "a") as runs:
            runs.write(f"{message.subject}\\t{context.attempt}\\n")
        await asyncio.sleep(0.02)
        if message.subject == "culprit":
            await getattr(self, self.options.how)()
        return Done(note="fine")

    async def exit(self):
        os._exit(11)

    async def swallow(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def block(self):
        time.sleep(3600)

    async def bloat(self):
        kept = []
        while True:
            kept.append(bytearray(32 * 2**20))
            await asyncio.sleep(0)


class NastyThread(Nasty):
    """The same in a thread."""

    def handle(self, message: Message, context: Context):
        with open(self.options.runs, "a") as runs:
            runs.write(f"{message.subject}\\t{context.attempt}\\n")
        if message.subject == "culprit":
            time.sleep(3600)
        return Done(note="fine")
'''


@pytest.fixture
def daemon(tmp_path, configure, deliver):
    """Return a way to start a daemon that has mail, one of them the culprit, for a nasty handler."""
    (tmp_path / "nasty.py").write_text(NASTY)
    for number in range(MAILS):
        deliver("culprit" if number == MAILS // 2 else f"mail {number}")

    def start(how: str, *, cls: str = "Nasty", attempts: int = ATTEMPTS, **supervision: object) -> Supervisor:
        options = f'{{how: {how}, runs: "{tmp_path / "runs"}"}}'
        config = configure(
            f"""
handlers:
  nasty:
    use: "./nasty.py:{cls}"
    with: {options}
    timeout: 1s
    retry: {{attempts: {attempts}, first: 100ms, longest: 1s}}
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [nasty]}}]}}]
"""
        )
        return Supervisor(config, **supervision)

    return start


async def settled(directory: Path, done: int, limit: float = 60.0) -> dict[str, tuple[str, int, str]]:
    """Wait until so many are done and one is dead; returns subject -> state, attempt, error."""
    async with asyncio.timeout(limit):
        while True:
            rows = await _rows(directory)
            states = Counter(state for state, _, _ in rows.values())
            if (states["done"], states["dead"]) == (done, 1):
                return rows
            await asyncio.sleep(0.05)  # another process's database says nothing by itself


async def _rows(directory: Path) -> dict[str, tuple[str, int, str]]:
    try:
        journal = await open_journal(f"sqlite:///{directory / 'journal.db'}", exclusive=False)
    except JournalError:
        return {}
    try:
        rows = await JournalViews(journal).deliveries(limit=1_000)
    finally:
        await journal.close()
    return {row.subject: (row.state, row.attempt, row.error) for row in rows}


def runs(directory: Path) -> Counter[str]:
    """Count the runs of each subject."""
    noted = directory / "runs"
    return Counter(line.split("\t")[0] for line in noted.read_text().splitlines()) if noted.exists() else Counter()


async def ends_as_it_should(
    supervisor: Supervisor, deliver: Callable[..., None], tmp_path: Path, *, deaths: bool
) -> dict[str, tuple[str, int, str]]:
    """All but the culprit are done, mail that came meanwhile included, and nobody was hit more than once or twice."""
    async with supervisor:
        await until(lambda: runs(tmp_path)["culprit"] > 0, limit=60)
        for number in range(5):
            deliver(f"late {number}")
        rows = await settled(tmp_path, MAILS - 1 + 5)
        assert rows["culprit"][0] == "dead"
        assert max(attempt for subject, (_, attempt, _) in rows.items() if subject != "culprit") <= 1 + deaths * 2
    assert supervisor.endings[-1] == 0, "it goes on to the end, and stops when it is told to"
    return rows


@pytest.mark.slow
async def test_a_handler_that_ends_the_process_is_found_within_its_attempts(tmp_path, daemon, deliver):
    supervisor = daemon("exit")
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=True)
    assert supervisor.endings[:-1] == [11] * (ATTEMPTS + 1), "the first time nobody knows who it was"
    assert runs(tmp_path)["culprit"] == ATTEMPTS + 1
    assert "the daemon died while it ran" in rows["culprit"][2]


@pytest.mark.slow
async def test_a_handler_that_swallows_its_cancellation_is_given_up(tmp_path, daemon, deliver):
    supervisor = daemon("swallow", attempts=1)
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=False)
    assert supervisor.endings == [0]
    assert "it cannot be stopped" in rows["culprit"][2]


@pytest.mark.slow
async def test_a_handler_that_blocks_its_thread_is_left_behind(tmp_path, daemon, deliver):
    supervisor = daemon("sleep", cls="NastyThread")
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=False)
    assert supervisor.endings == [0]
    assert rows["culprit"][1] == ATTEMPTS
    assert runs(tmp_path)["culprit"] == 1, "it takes one place, however often it is tried"
    assert "TimedOut" in rows["culprit"][2]


@pytest.mark.slow
async def test_a_handler_that_blocks_the_event_loop_is_ended_by_the_watchdog_and_found(tmp_path, daemon, deliver):
    supervisor = daemon("block", attempts=2, watchdog=2.0)
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=True)
    assert set(supervisor.endings[:-1]) == {-signal.SIGABRT}
    assert len(supervisor.endings) == 2 + 2
    assert "the daemon died while it ran" in rows["culprit"][2]


@pytest.mark.slow
async def test_a_handler_that_allocates_without_end_fails_alone_where_memory_is_refused(tmp_path, daemon, deliver):
    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (900 * MIB, 900 * MIB))

    supervisor = daemon("bloat", prepare=little_memory)
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=True)
    assert rows["culprit"][0] == "dead"


@pytest.fixture
def memory_max(tmp_path):
    """Return a way to put a process under a limit of memory, as `MemoryMax=` does; skips where that is not allowed."""
    group = next((path for path in map(Path, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")) if path.is_dir()), None)
    group = group and group / f"postroom-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = next(name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        (group / limit).write_text(str(192 * MIB))
    except (OSError, AttributeError, StopIteration):
        pytest.skip("no control group for memory can be made here")
    yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    group.rmdir()


@pytest.mark.slow
async def test_a_handler_that_allocates_without_end_is_killed_at_the_units_limit_and_found(
    tmp_path, daemon, deliver, memory_max
):
    supervisor = daemon("bloat", prepare=memory_max)
    rows = await ends_as_it_should(supervisor, deliver, tmp_path, deaths=True)
    assert set(supervisor.endings[:-1]) == {-signal.SIGKILL}
    assert "the daemon died while it ran" in rows["culprit"][2]


@pytest.mark.slow
async def test_a_program_that_allocates_without_end_is_killed_alone(tmp_path, configure, deliver, memory_max):
    (tmp_path / "hog.py").write_text(
        "import os\nkept = []\nwhile os.environ['POSTROOM_SUBJECT'] == 'culprit':\n    kept.append(bytearray(2**24))\n"
    )
    for subject in ("mail 1", "culprit", "mail 2", "mail 3"):
        deliver(subject)
    config = configure(
        f"""
handlers:
  hog:
    use: command
    with: {{command: ["{sys.executable}", "{tmp_path}/hog.py"]}}
    retry: {{attempts: 2, first: 100ms, longest: 1s}}
    concurrency: 2
mailboxes: [{{address: {MAILBOX}, poll: 1s, start: all, rules: [{{name: all, handle: [hog]}}]}}]
"""
    )
    supervisor = Supervisor(config, prepare=memory_max)
    async with supervisor:
        rows = await settled(tmp_path, 3)
    assert rows["culprit"][1] == 2
    assert "was killed by SIGKILL" in rows["culprit"][2]
    assert supervisor.endings == [0]
