"""Daemons as processes, forked from one that has loaded the program: a start costs a quarter of what it would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn, Self

TESTS = Path(__file__).parents[1]


class Forks:
    """Starts one daemon at a time, as an async context manager; the daemon that still runs at its end is killed."""

    def __init__(self) -> None:
        self._pid = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crash.forks"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.tell(signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        await self._server.wait()

    async def start(self, config: Path, log: Path, crash_at: str, **environment: str) -> None:
        """Run `postroom run -c CONFIG`."""
        order = {"config": str(config), "log": str(log), "crash_at": crash_at, "environment": environment}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self._pid = (await self._answer())["pid"]

    def tell(self, number: signal.Signals) -> None:
        """Send the daemon a signal, if it runs."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    async def ended(self) -> int:
        """Wait for its end and return the exit code, or the signal's number below zero."""
        code: int = (await self._answer())["code"]
        self._pid = 0
        return code

    async def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = await self._server.stdout.readline()
        if not line:
            raise RuntimeError("the process that forks daemons has died")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _serve() -> None:
    """Fork a daemon for each order on standard input, and tell its number and its end."""
    _load()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(order)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _load() -> None:
    """Import what a daemon needs; what is missing here is only slower."""
    import postroom.cli.run  # noqa: PLC0415 - this process alone is to have it
    import postroom.cli.serve  # noqa: PLC0415 - same
    import postroom.graph.sign_in  # noqa: F401, PLC0415 - same


def _become(order: dict[str, Any]) -> NoReturn:
    """Be the daemon."""
    from postroom.cli.main import run  # noqa: PLC0415 - this process alone is to have it
    from postroom.failpoints import ARMED  # noqa: PLC0415 - same

    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.environ.update(order["environment"])
    ARMED.arm(order["crash_at"])
    code = 1
    try:
        code = int(run(["run", "-c", order["config"]]) or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
