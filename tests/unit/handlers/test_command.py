import asyncio
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from postroom.config.handlers import relative_to
from postroom.handlers.command import LONGEST_VARIABLE, Command, CommandOptions, metadata, one_line, verdict
from postroom.handlers.process import LONGEST_LINE, Ended, last_line
from postroom.plugin import Address, Done, HandlerError, Reject, Retry, TemporaryError
from postroom.testing import FakeContext, make_message, run_handler


def shell(script, **options):
    """Options that run a shell script as a program: the handler itself never uses a shell."""
    return {"command": ["/bin/sh", "-c", script, "script"], **options}


async def run(script, context=None, **options):
    if context is None:
        return await run_handler(Command, shell(script, **options))
    return await run_handler(Command, shell(script, **options), context=context)


async def test_the_mail_comes_on_standard_input_byte_by_byte(tmp_path):
    raw = bytes(range(256)) * 1000
    context = FakeContext(raw=raw)
    assert await run(f"cat > {tmp_path}/copy", context) == Done()
    assert (tmp_path / "copy").read_bytes() == raw


async def test_a_program_that_does_not_read_is_no_failure():
    assert await run("exit 0", FakeContext(raw=b"x" * 10_000_000)) == Done()


async def test_the_metadata_is_in_the_environment(tmp_path):
    message = make_message(id="ID", subject="Grüße", to=(Address("", "a@x.example"), Address("", "b@x.example")))
    await run(f"env -0 > {tmp_path}/env", FakeContext(message=message, attempt=3, rule="r", handler="h"))
    pairs = (entry.partition("=") for entry in (tmp_path / "env").read_text().split("\0") if entry)
    environment = {name: value for name, _, value in pairs}
    expected = {
        "POSTROOM_MAILBOX": "invoices@contoso.example",
        "POSTROOM_MESSAGE_ID": "ID",
        "POSTROOM_SUBJECT": "Grüße",
        "POSTROOM_FROM": "ada@supplier.example",
        "POSTROOM_TO": "a@x.example, b@x.example",
        "POSTROOM_RECEIVED_AT": "2026-03-02T09:00:00+00:00",
        "POSTROOM_ATTEMPT": "3",
        "POSTROOM_RULE": "r",
        "POSTROOM_HANDLER": "h",
        "POSTROOM_IDEMPOTENCY_KEY": "invoices@contoso.example/ID/h",
    }
    assert expected.items() <= environment.items()


async def test_the_daemons_own_environment_stays_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hush")
    monkeypatch.setenv("TZ", "UTC")
    await run(f"env > {tmp_path}/env", environment={"MINE": "1", "POSTROOM_ATTEMPT": "99"})
    lines = (tmp_path / "env").read_text().splitlines()
    assert "hush" not in str(lines)
    assert {"MINE=1", "TZ=UTC", "POSTROOM_ATTEMPT=1"} <= set(lines)


async def test_a_hostile_mail_neither_breaks_out_nor_breaks_the_start(tmp_path):
    hostile = "'; touch pwned; $(touch pwned)\0\n\ud800EVIL=1" + "x" * 500_000
    message = make_message(subject=hostile, sender=Address(hostile, hostile), to=(Address("", hostile),) * 50)
    context = FakeContext(message=message, raw=b"")
    assert await run(f"env > {tmp_path}/env", context, working_directory=tmp_path) == Done()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env"]
    assert not any(line.startswith("EVIL") for line in (tmp_path / "env").read_text().splitlines())


@given(st.text())
def test_a_variable_is_one_line_of_utf8(text):
    line = one_line(text)
    assert len(line) <= LONGEST_VARIABLE
    assert len(line.splitlines()) <= 1
    assert "\0" not in line
    line.encode("utf-8")


@given(st.text(min_size=1), st.text())
def test_every_variable_can_be_passed(subject, name):
    message = make_message(subject=subject, sender=Address(name, name), mailbox=name, id=name)
    for key, value in metadata(message, FakeContext(message=message)).items():
        assert key.startswith("POSTROOM_")
        assert not set(value) & set("\0\r\n")


@pytest.mark.parametrize("code", [64, 65, 69, 70, 74, 76, 77, 78])
async def test_what_sysexits_calls_final_rejects(code):
    outcome = await run(f"echo first >&2; echo 'no such customer' >&2; exit {code}")
    assert outcome == Reject(f"/bin/sh ended with exit code {code}: no such customer")


async def test_a_temporary_failure_retries():
    assert await run("exit 75") == Retry("/bin/sh ended with exit code 75.")


@pytest.mark.parametrize("code", [1, 2, 63, 79, 126, 255])
async def test_any_other_code_is_the_operators_choice(code):
    assert isinstance(await run(f"exit {code}"), Retry)
    assert isinstance(await run(f"exit {code}", on_error="reject"), Reject)


@pytest.mark.parametrize("on_error", ["retry", "reject"])
async def test_a_killed_program_is_tried_again(on_error):
    outcome = await run("echo dying >&2; kill -KILL $$", on_error=on_error)
    assert outcome == Retry("/bin/sh was killed by SIGKILL: dying")


def test_an_unknown_signal_has_its_number():
    assert verdict(Ended(-99, b"", b""), "x", "retry") == Retry("x was killed by signal 99.")


async def test_the_last_line_of_its_output_is_the_note():
    assert await run("echo first; echo; echo '  booked as 17 '; echo") == Done(note="booked as 17")


async def test_endless_output_is_read_and_forgotten():
    outcome = await run("head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; echo; echo end")
    assert outcome == Done(note="end")


@given(st.binary(max_size=2000))
def test_a_line_that_is_shown_is_short_and_plain(output):
    line = last_line(output)
    assert len(line) <= LONGEST_LINE
    assert line.isprintable() or "\u3000" in line or not line.isascii()
    assert not any(ord(one) < 32 or one == "\x7f" for one in line)


def test_escape_sequences_do_not_reach_a_terminal():
    assert last_line(b"ok\n\x1b[31mred\x1b]0;title\x07\xe2\x80\xae\n") == "[31mred ]0;title"


async def test_arguments_are_passed_as_they_are(tmp_path):
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    await run_handler(Command, {"command": [str(program), "$HOME", "a b", "*", ""]})
    assert (tmp_path / "arguments").read_text() == "$HOME\na b\n*\n\n"


@pytest.mark.parametrize("command", ["./book.sh", "bin/../book.sh"])
async def test_a_program_with_a_slash_starts_at_the_configuration_file_wherever_it_runs(tmp_path, command):
    (tmp_path / "bin").mkdir()
    (tmp_path / "elsewhere").mkdir()
    program = tmp_path / "book.sh"
    program.write_text('#!/bin/sh\necho "$PWD $@"\n')
    program.chmod(0o755)
    given = CommandOptions(command=[command, "./argument"], working_directory=Path("elsewhere"))
    options = relative_to(given, tmp_path)
    outcome = await run_handler(Command, options.model_dump())
    assert outcome == Done(note=f"{tmp_path}/elsewhere ./argument")


def test_the_words_of_a_command_are_text_for_who_writes_them():
    assert CommandOptions.model_json_schema()["properties"]["command"]["items"] == {"type": "string"}


@pytest.mark.parametrize("command", [["no-such-program-here"], ["/no/such/program"], ["/etc/passwd"], ["/tmp"]])
async def test_a_program_that_cannot_run_refuses_the_configuration(command):
    with pytest.raises(HandlerError, match="There is no program"):
        await run_handler(Command, {"command": command})


async def test_a_program_that_vanishes_later_is_temporary(tmp_path):
    handler = Command(CommandOptions(command=["/bin/true"], working_directory=tmp_path / "gone"))
    async with FakeContext() as context:
        with pytest.raises(TemporaryError, match="cannot be run: No such file"):
            await handler.handle(context.message, context)


@pytest.mark.parametrize(
    "options",
    [
        {"command": []},
        {"command": [""]},
        {"command": ["x", "a\0b"]},
        {"command": "x --flag"},
        {"command": ["x"], "environment": {"A=B": "1"}},
        {"command": ["x"], "environment": {"A": "\0"}},
        {"command": ["x"], "environment": {"": "1"}},
        {"command": ["x"], "kill_after": 0},
        {"command": ["x"], "kill_after": "9s"},  # the delivery is given up 10 s after its time
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValidationError):
        CommandOptions.model_validate(options)


def alive(pid):
    """Say whether the process runs: a zombie nobody reaps (there may be no init here) has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


async def started(fifo):
    """Wait until the script has written its process ids to the named pipe."""
    return [int(pid) for pid in (await asyncio.to_thread(fifo.read_text)).split()]


async def stopped_in_the_middle(tmp_path, script, **options):
    """Run the script, cancel it when it has told its process ids, and return them."""
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    context = FakeContext(raw=b"x")
    running = asyncio.ensure_future(run(script.format(fifo=fifo), context, **options))
    pids = await started(fifo)
    assert all(map(alive, pids))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return pids


async def test_a_cancelled_program_is_told_to_end_and_does(tmp_path):
    script = (
        "trap 'echo asked > " + str(tmp_path) + "/asked; exit 0' TERM; echo $$ > {fifo}; while :; do sleep 0.01; done"
    )
    (pid,) = await stopped_in_the_middle(tmp_path, script)
    assert (tmp_path / "asked").exists()
    assert not alive(pid)


async def test_a_program_that_will_not_end_is_killed(tmp_path):
    script = "trap '' TERM; echo $$ > {fifo}; while :; do sleep 0.01; done"
    (pid,) = await stopped_in_the_middle(tmp_path, script, kill_after=0.05)
    assert not alive(pid)


async def test_its_children_go_with_it(tmp_path):
    script = "sh -c \"trap '' TERM; while :; do sleep 0.01; done\" & echo $$ $! > {fifo}; wait"
    pids = await stopped_in_the_middle(tmp_path, script, kill_after=0.05)
    assert len(pids) == 2
    async with asyncio.timeout(5):
        while any(map(alive, pids)):  # noqa: ASYNC110 - the kernel tells nobody when somebody else's child is gone
            await asyncio.sleep(0)


async def test_a_child_left_behind_does_not_hold_the_delivery_up(tmp_path):
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    running = asyncio.ensure_future(run(f"sleep 30 & echo $! > {fifo}; echo done; exit 0"))
    (pid,) = await started(fifo)
    try:
        assert await running == Done(note="done")
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_many_run_at_once(tmp_path):
    outcomes = await asyncio.gather(*(run(f"echo {number}") for number in range(20)))
    assert [outcome.note for outcome in outcomes] == [str(number) for number in range(20)]


def test_it_works_on_uvloop_as_well(tmp_path):
    uvloop = pytest.importorskip("uvloop")

    async def scenario():
        ran = await run(
            "cat; echo; echo $POSTROOM_SUBJECT", FakeContext(message=make_message(subject="Grüße"), raw=b"x")
        )
        pids = await stopped_in_the_middle(
            tmp_path, "trap '' TERM; echo $$ > {fifo}; while :; do sleep 0.01; done", kill_after=0.05
        )
        return ran, pids

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ran, (pid,) = runner.run(scenario())
    assert ran == Done(note="Grüße")
    assert not alive(pid)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 50])
async def test_a_program_cancelled_while_it_starts_is_gone(tmp_path, turns):
    running = asyncio.ensure_future(run(f"echo $$ >> {tmp_path}/pids; exec sleep 300"))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pids = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
    assert not any(alive(int(pid)) for pid in pids)


def test_a_program_that_is_not_there_is_missing_before_anything_is_run(tmp_path):
    there, gone = (Command(CommandOptions(command=[word])) for word in ("/bin/sh", "/no/such/prog"))
    assert there.missing() == {}
    assert gone.missing() == {"command": "there is no program /no/such/prog that could be run"}
