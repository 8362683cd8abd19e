"""An event loop that plug-ins cannot end."""

from __future__ import annotations

import asyncio
import sys

import pytest

from postroom.cli.loop import run_to_its_end


async def leave():
    sys.exit(3)


def test_what_waits_for_a_task_that_exits_gets_the_exit_and_the_loop_runs_on(caplog):
    async def main():
        try:
            await asyncio.gather(leave())
        except SystemExit as error:
            await asyncio.sleep(0)
            return error.code

    assert run_to_its_end(main()) == 3
    assert [(line.message, type(line.exc_info[1])) for line in caplog.records] == [("exit_ignored", SystemExit)]


@pytest.mark.parametrize("end", [sys.exit, lambda: asyncio.get_running_loop().stop()])
def test_a_callback_neither_exits_nor_stops_the_loop(caplog, end):
    async def main():
        passed = asyncio.Event()
        for when in (0.0, 0.001, 0.002):
            asyncio.get_running_loop().call_later(when, end)
        asyncio.get_running_loop().call_later(0.003, passed.set)
        await passed.wait()
        return "done"

    assert run_to_its_end(main()) == "done"
    assert {line.message for line in caplog.records} == {"exit_ignored"}


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
def test_what_the_process_is_there_for_may_end_it(error):
    async def main():
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)):
        run_to_its_end(main())
