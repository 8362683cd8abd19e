import asyncio
import io
import logging
import re
import threading
import warnings

import pytest
import structlog

from postroom.errors import Unavailable
from postroom.observe.log import Foreign, Output, compact, configure


class Terminal(io.StringIO):
    def isatty(self):
        return True


def _fail():
    cause = KeyError("inner")
    raise Unavailable("Graph did not answer.", remedy="Wait.") from cause


class Breakable(io.StringIO):
    broken = False

    def write(self, text):
        if self.broken:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_line_is_json_when_nobody_watches(output, lines):
    configure("info", "auto", output).info("round", mailbox="a@b.example", folder="Inbox", fresh=3)
    (line,) = lines()
    assert list(line) == ["time", "level", "event", "mailbox", "folder", "fresh"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["level"], line["event"], line["fresh"]) == ("info", "round", 3)


def test_a_line_is_pretty_in_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    configure("info", "auto", terminal).info("started", mailboxes=2)
    assert "\x1b[" in terminal.getvalue()
    assert "started" in terminal.getvalue()


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure("info", "pretty", terminal).info("started", mailboxes=2)
    assert "\x1b" not in terminal.getvalue()
    assert "mailboxes=2" in terminal.getvalue()


def test_the_format_can_be_forced_either_way():
    terminal, file = Terminal(), io.StringIO()
    configure("info", "json", terminal).info("started")
    configure("info", "pretty", file).info("started")
    assert terminal.getvalue().startswith('{"time"')
    assert not file.getvalue().startswith("{")


def test_lines_below_the_level_are_not_written(output, lines):
    log = configure("warning", "json", output)
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in lines()] == ["loud"]


def test_a_second_configure_changes_the_level(output, lines):
    configure("error", "json", output)
    configure("debug", "json", output).debug("seen")
    logging.getLogger("msal").warning("once")
    assert [line["event"] for line in lines()] == ["seen", "once"]


def test_bound_context_is_on_every_line(output, lines):
    log = configure("info", "json", output)
    with structlog.contextvars.bound_contextvars(mailbox="a@b.example", attempt=2):
        log.info("one")
        logging.getLogger("aiohttp.client").warning("two")
    assert all((line["mailbox"], line["attempt"]) == ("a@b.example", 2) for line in lines())


def test_a_field_cannot_pass_itself_off_as_time_or_level(output, lines):
    configure("info", "json", output).info("x", time="yesterday", level="debug")
    (line,) = lines()
    assert (line["level"], line["level_"], line["time_"]) == ("info", "debug", "yesterday")


def test_secrets_do_not_reach_the_output(output):
    log = configure("info", "json", output)
    log.info("sign-in with client_secret=s3cr3t", token="s3cr3t", note="Bearer s3cr3t", deep=[{"password": "s3cr3t"}])
    log.error("failed", exc_info=ValueError("Authorization: Bearer s3cr3t"))
    logging.getLogger("msal").error("assertion %s", "client_assertion=s3cr3t")
    assert "s3cr3t" not in output.getvalue()
    assert len(output.getvalue().splitlines()) == 3


@pytest.mark.parametrize("style", ["json", "pretty"])
@pytest.mark.parametrize(
    "evil", ["a\nfake line", "a\r\x1b[2Kgone", "\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "\u2028x"]
)
def test_a_subject_cannot_forge_lines_or_steer_the_terminal(output, style, evil):
    configure("info", style, output).info("message", subject=evil, nested={evil: [evil]})
    text = output.getvalue()
    assert text.count("\n") == 1
    assert not set(text.rstrip("\n")) & set("\n\r\x1b\x07\x9b\u202e\u2028")


def test_text_that_is_no_text_is_still_logged(output, lines):
    configure("info", "json", output).info("file", name="half \ud800 pair", number=2**70)
    (line,) = lines()
    assert line["number"] == 2**70


def test_an_exception_is_two_fields_on_one_line(output, lines):
    log = configure("info", "json", output)
    try:
        _fail()
    except Unavailable:
        log.exception("poll failed", mailbox="a@b.example")
    (line,) = lines()
    assert line["error"] == "Graph did not answer. Wait. <- KeyError: 'inner'"
    assert re.match(r"observe/test_log\.py:\d+ _fail < observe/test_log", line["at"])


def test_a_long_chain_of_causes_ends():
    error = ValueError("0")
    for number in range(1, 20):
        newer = ValueError(str(number))
        newer.__cause__ = error
        error = newer
    assert compact(error)["error"].count("<-") == 3


def test_lines_of_libraries_arrive_from_warning_up(output, lines):
    configure("debug", "json", output)
    for name in ("aiohttp.server", "msal.application", "apscheduler.scheduler", "asyncio"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("%s is %s", name, "late")
    assert [line["event"] for line in lines()] == [f"{line['logger']} is late" for line in lines()]
    assert len(lines()) == 4


def test_a_library_cannot_break_its_caller_with_a_malformed_record(output, capsys):
    configure("info", "json", output)
    (foreign,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, Foreign))
    foreign.handle(logging.LogRecord("msal", logging.ERROR, "x.py", 1, "%d", ("not a number",), None))
    assert "not a number" in capsys.readouterr().err


def test_a_task_that_died_unseen_is_logged(output, lines):
    configure("info", "json", output)

    async def main():
        asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": ValueError("x")})

    asyncio.run(main())
    assert lines()[0]["error"] == "ValueError: x"


def test_warnings_of_python_are_logged(output, lines):
    configure("info", "json", output)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    logging.captureWarnings(capture=False)
    assert "old ways" in lines()[0]["event"]


def test_a_stream_that_fails_costs_lines_and_says_how_many():
    stream = Breakable()
    log = configure("info", "json", stream)
    stream.broken = True
    log.info("one")
    log.info("two")
    stream.broken = False
    log.info("three")
    first, second = stream.getvalue().splitlines()
    assert '"lines":2' in first
    assert '"three"' in second


def test_lines_of_many_threads_stay_whole(output):
    sink = Output(output)
    threads = [threading.Thread(target=lambda: [sink.line("x" * 200) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(output.getvalue().splitlines()) == {"x" * 200}
