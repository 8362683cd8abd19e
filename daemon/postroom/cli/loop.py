"""The event loop of a process that runs other people's code: none of it ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_to_its_end(main: Coroutine[Any, Any, T]) -> T:
    """Return what `main` returns, or raise what it raises, and nothing that others raise.

    A loop ends when any task or callback on it raises SystemExit or KeyboardInterrupt, or stops it. It is intact then,
    and who waits for that task gets the exception, too. So that is logged, as what a callback raises, and it runs on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except BaseException as error:  # noqa: BLE001 - what is not logged is what `main` raised: see below
                if not task.done():
                    loop.call_exception_handler({"message": "exit_ignored", "exception": error})
        return task.result()
