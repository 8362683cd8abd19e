"""The canned server as a process beside a benchmark, and what is read of a process from outside."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Canned:
    """A running canned server."""

    base: str
    ca_file: str

    def ask(self, path: str) -> str:
        """Call one of its own addresses."""
        context = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(f"{self.base}{path}", timeout=60, context=context) as answer:
            return str(answer.read(), "ascii")


@contextmanager
def serving(messages: int, page: int) -> Iterator[Canned]:
    """Run the canned server with so many messages."""
    with tempfile.TemporaryDirectory(prefix="postroom-bench-") as directory:
        command = [sys.executable, str(HERE / "canned.py"), directory, str(messages), str(page)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield Canned(**json.loads(server.stdout.readline()))
        finally:
            server.terminate()
            server.wait(30)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int, field: str) -> float:
    """Return a process's resident memory, now (``VmRSS``) or at its peak (``VmHWM``)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def environment() -> dict[str, str]:
    """Return our own environment, but an installed program has its bytecode."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
