import asyncio
import subprocess
import sys
import threading

import pytest
from pydantic import ValidationError

from postroom.errors import HandlerError
from postroom.plugin import Body, Done, Handler, Options, Skip
from postroom.testing import FakeContext, load_handler, make_attachment, make_message, run_handler


class Echo(Options):
    """Options."""

    answer: object = None
    """What to return."""


class Async(Handler[Echo]):
    """Return what the options say."""

    async def handle(self, message, context):
        return self.options.answer


class Plain(Handler[Echo]):
    """Return the thread it ran in."""

    def handle(self, message, context):
        return Done(note=threading.current_thread().name)


class Looking(Handler[Options]):
    """Say what it saw."""

    async def handle(self, message, context):
        names = [file.name async for file in context.attachments()]
        body = await context.body()
        headers = await context.headers()
        async with context.mime() as path:
            mime = path.read_bytes()
        return Done(note=f"{message.has_attachments} {names} {body.content} {headers} {mime} {context.attempt}")


class Steps(Handler[Options]):
    """Write down its life."""

    log: list[str]

    async def open(self):
        self.log.append("open")

    async def handle(self, message, context):
        self.log.append("handle")
        raise ConnectionError("down")

    async def close(self):
        self.log.append("close")


async def test_returning_nothing_means_done():
    assert await run_handler(Async) == Done()


async def test_an_outcome_is_returned_as_it_is():
    assert await run_handler(Async, {"answer": Skip("x")}) == Skip("x")
    assert await run_handler(Async, Echo(answer=Skip("x"))) == Skip("x")


@pytest.mark.parametrize("answer", [True, "done", Done, 0])
async def test_anything_else_is_an_error_that_names_the_legal_ones(answer):
    with pytest.raises(TypeError, match=r"Async.handle returned a .*Done, Skip, Retry or Reject"):
        await run_handler(Async, {"answer": answer})


async def test_wrong_options_are_an_error():
    with pytest.raises(ValidationError):
        await run_handler(Async, {"anser": 1})


async def test_a_plain_handle_runs_in_a_thread():
    outcome = await run_handler(Plain)
    assert outcome.note != threading.current_thread().name


async def test_the_mail_is_what_the_test_gave():
    outcome = await run_handler(
        Looking, attachments=[make_attachment("a.txt")], body="Hello", headers=[("A", "1")], mime=b"raw", attempt=4
    )
    assert outcome.note == "True ['a.txt'] Hello (('A', '1'),) b'raw' 4"
    assert (await run_handler(Looking, body=Body("html", "<p>"), mime=b"")).note.startswith("False [] <p>")
    assert (await run_handler(Looking, message=make_message(), mime=b"")).note.startswith("False")


async def test_a_handler_is_opened_run_and_closed_and_its_error_is_seen(monkeypatch):
    monkeypatch.setattr(Steps, "log", [], raising=False)
    with pytest.raises(ConnectionError, match="down"):
        await run_handler(Steps)
    assert Steps.log == ["open", "handle", "close"]


async def test_a_handler_that_hangs_fails_the_test_instead():
    async with FakeContext(stalls=True) as context:
        with pytest.raises(TimeoutError):
            await run_handler(Looking, context=context, timeout=0.01)


async def test_a_context_handed_over_stays_open():
    async with FakeContext() as context:
        await run_handler(Async, context=context)
        assert not context.http.closed


def test_a_handler_file_is_loaded_as_the_daemon_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from postroom.plugin import Handler, Options\n"
        "class Mine(Handler[Options]):\n    '''Mine.'''\n    async def handle(self, message, context): ...\n"
    )
    mine = load_handler("mine.py", "Mine")
    assert asyncio.run(run_handler(mine)) == Done()
    with pytest.raises(HandlerError, match="It has Mine"):
        load_handler(tmp_path / "mine.py", "Yours")


def test_the_kit_needs_no_test_framework():
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['pytest_asyncio'] = None\n"
        "import postroom.testing\n"
        "print('simulator' in str([name for name in sys.modules if name.startswith('postroom')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
