from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.config import Limits, Listen, LogSettings, load, parse
from postroom.config.problems import Id
from postroom.errors import ConfigError, HandlerError, Problem
from postroom.plugin import Handler

TENANT = (
    "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}\n"
)
MAILBOX = "mailboxes: [{address: a@b.example, rules: [{handle: log}]}]\n"


@pytest.fixture
def load_file(tmp_path, find, handlers):
    """Write a file and load it."""

    def load_file(content: bytes | str, mode: int = 0o600):
        path = tmp_path / "etc" / "postroom.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return load(path, find, handlers, {})

    return load_file


def test_what_is_not_written_has_a_default(full):
    config = full("")
    (mailbox,) = config.mailboxes
    assert (mailbox.folders, mailbox.poll, mailbox.start, mailbox.tenant) == (("Inbox",), 60.0, "now", "default")
    assert (config.limits, config.log, config.console) == (Limits(), LogSettings(), None)


def test_what_is_written_counts(full):
    config = full(
        "version: 1\n"
        "limits: {in_flight: 1, concurrency: 7, page_size: 9, drain: 5s}\n"
        "log: {level: debug, format: json}\n"
        "console: {listen: '[::1]:0'}\n"
        "mailboxes:\n"
        "  - {address: a@b.example, folders: Inbox/Done, poll: 1.5s, start: all, rules: [{handle: log}]}\n"
    )
    assert config.limits == Limits(1, 7, 9, 5.0)
    assert config.log == LogSettings("debug", "json")
    assert config.console == Listen("::1", 0)
    assert (config.mailboxes[0].folders, config.mailboxes[0].poll) == (("Inbox/Done",), 1.5)


def test_a_section_with_nothing_in_it_is_left_out(full):
    config = full("console:\nlimits:\nhandlers:\n")
    assert (config.console, config.limits, list(config.handlers)) == (None, Limits(), ["log"])


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("now", "now"),
        ("all", "all"),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("'2026-01-31T12:00:00+02:00'", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_start_is_now_all_or_a_date(full, text, start):
    config = full(f"mailboxes: [{{address: a@b.example, start: {text}, rules: [{{handle: log}}]}}]\n")
    assert config.mailboxes[0].start == start


def test_a_start_that_was_past_when_the_file_was_written_is_right_with_a_clock_that_is_behind(
    load_file, tmp_path, find, handlers
):
    start, written = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    with pytest.raises(ConfigError) as caught:
        load_file(f"{TENANT}mailboxes: [{{address: a@b.example, start: '{start}', rules: [{{handle: log}}]}}]\n")
    assert [problem.id for problem in caught.value.problems] == [Id.BAD_START.value]
    path = tmp_path / "etc" / "postroom.yaml"
    os.utime(path, (written.timestamp(), written.timestamp()))
    assert load(path, find, handlers, {}).mailboxes[0].start == start


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:////var/lib/journal.db", "sqlite:////var/lib/journal.db"),
        ("sqlite:///journal.db", "sqlite:///{here}/journal.db"),
        ("sqlite:///state/journal.db?timeout=5", "sqlite:///{here}/state/journal.db?timeout=5"),
        ("postgresql+psycopg://u:p@db/postroom", "postgresql+psycopg://u:p@db/postroom"),
    ],
)
def test_a_journal_starts_at_the_file(full, tmp_path, monkeypatch, url, absolute):
    monkeypatch.setattr("postroom.config.place_checks.find_spec", lambda driver: driver)
    assert full(f"journal: {url}\n").journal == absolute.format(here=tmp_path)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "'sqlite:///:memory:'", "journal.db", "mysql://db/x", '"sqlite:///a\\0b"']
)
def test_a_journal_that_does_not_last_is_refused(problems, url):
    assert [problem.id for problem in problems(f"{TENANT}journal: {url}\n{MAILBOX}")] == [Id.BAD_JOURNAL]


def test_an_object_id_is_an_address(full):
    guid = "11111111-2222-3333-4444-555555555555"
    assert full(f"mailboxes: [{{address: {guid}, rules: [{{handle: log}}]}}]\n").mailboxes[0].address == guid


def test_a_mailbox_is_the_same_in_capitals_and_in_small_letters(full):
    text = "mailboxes: [{address: Invoices@Contoso.EXAMPLE, rules: [{handle: log}]}]\n"
    assert full(text).mailboxes[0].address == "invoices@contoso.example"


@pytest.mark.parametrize(
    "address", ["a b@c.example", "a@b@c", "a", "a@", "x@y/../z", "a?b@c.example", "100%@c.example"]
)
def test_what_could_not_stand_in_a_url_is_no_address(problems, address):
    text = f"{TENANT}mailboxes: [{{address: '{address}', rules: [{{handle: log}}]}}]\n"
    assert [problem.id for problem in problems(text)] == [Id.BAD_ADDRESS]


def test_a_file_is_found_relative_to_where_the_program_runs(load_file, tmp_path, monkeypatch, find, handlers):
    load_file(TENANT + MAILBOX)
    monkeypatch.chdir(tmp_path)
    config = load(Path("etc/postroom.yaml"), find, handlers, {})
    assert config.path == Path("etc/postroom.yaml")
    assert config.journal == f"sqlite:///{tmp_path}/etc/postroom.db"


def test_problems_name_the_file(load_file, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_file("version: 2\n" + TENANT + MAILBOX)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/etc/postroom.yaml:1:10: version: ")


def test_a_byte_order_mark_is_no_mistake(load_file):
    assert load_file(b"\xef\xbb\xbf" + (TENANT + MAILBOX).encode()).warnings == ()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \xe4"])
def test_a_file_that_is_not_utf_8_is_refused(load_file, content):
    with pytest.raises(ConfigError) as caught:
        load_file(content)
    assert [problem.id for problem in caught.value.problems] == [Id.FILE_UNREADABLE]


@pytest.mark.parametrize("path", ["missing.yaml", ".", "nul\0.yaml"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, path, find):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / path, find, (), {})
    assert [problem.id for problem in caught.value.problems] == [Id.FILE_UNREADABLE]


def test_a_secret_in_a_file_that_everybody_can_read_is_a_warning(load_file):
    assert [problem.id for problem in load_file(TENANT + MAILBOX, 0o644).warnings] == [Id.SECRET_EXPOSED]
    assert load_file(TENANT + MAILBOX, 0o640).warnings == ()


@pytest.mark.parametrize("secret", ["", "  "])
def test_a_secret_that_is_empty_is_found_before_anybody_signs_in(load_file, secret):
    with pytest.raises(ConfigError) as caught:
        load_file(TENANT.replace("client_secret: s", f"client_secret: '{secret}'") + MAILBOX)
    [problem] = caught.value.problems
    assert (problem.id, problem.line) == (Id.MISSING_SETTING, 1)


def test_the_environment_is_that_of_the_process_unless_given(load_file, tmp_path, find, handlers, monkeypatch):
    monkeypatch.setitem(os.environ, "POSTROOM_TEST_ADDRESS", "env@b.example")
    load_file(TENANT + MAILBOX)
    path = tmp_path / "etc" / "postroom.yaml"
    path.write_text(TENANT + "mailboxes: [{address: '${POSTROOM_TEST_ADDRESS}', rules: [{handle: log}]}]\n")
    assert load(path, find, handlers).mailboxes[0].address == "env@b.example"


def nothing(use: str, directory: Path) -> type[Handler]:
    raise HandlerError("there is none")


def parses_or_explains(text: str) -> None:
    problems = explained(text)
    assert all(problem.line > 0 for problem in problems)
    assert all("; " in problem.text for problem in problems), "each says what to do"


def explained(text: str) -> tuple[Problem, ...]:
    try:
        return parse(text, "x.yaml", nothing, ["log"], {"HOME": "/"}, Path("/nowhere")).warnings
    except ConfigError as error:
        return error.problems or pytest.fail("an error without a problem")


@given(st.text())
def test_any_text_is_a_configuration_or_explained(text):
    parses_or_explains(text)


@given(st.text(alphabet="{}[]:,-'\"\\&*!|>%@`#?~$ \n\tab01<=", max_size=60))
def test_any_punctuation_is_a_configuration_or_explained(text):
    parses_or_explains(text)


WORDS = """
version tenant tenants cloud login graph ca_file tenant_id client_id credential client_secret certificate_file
managed_identity scope journal console listen limits drain log handlers use with retry first longest mailboxes address
folders poll start rules name when from header size age any all not then flag delete handle stop"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["${HOME}", "${X}", "30s", "10MB", ">1kB", "/(/", "log", "now", "a@b.example", "https://x", "x", "all"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
FILES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("tenant", "tenants", "journal", "console", "limits", "handlers"), VALUES)
)
MAILBOXES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "address": VALUES,
            "poll": VALUES,
            "rules": st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=3),
        },
    ),
    max_size=3,
)


@settings(deadline=None)
@given(FILES, st.one_of(MAILBOXES, VALUES))
def test_any_structure_is_a_configuration_or_explained(file, mailboxes):
    parses_or_explains(yaml.safe_dump({**file, "mailboxes": mailboxes}))
