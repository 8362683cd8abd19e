"""Files with mistakes: `bad/` holds one in each file, named in its first line as `check` must report it."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.config import parse
from postroom.config.problems import Id
from postroom.errors import ConfigError, ExitCode

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))

NEEDS_MORE_THAN_A_FILE = {
    *(Id.FILE_UNREADABLE, Id.UNKNOWN_AUTHORITY, Id.SECRET_EXPOSED, Id.NO_JOURNAL_DRIVER),
    Id.HANDLER_NOT_OPENED,
    *(Id.SIGN_IN_REFUSED, Id.UNREACHABLE, Id.FOLDER_NOT_READ, Id.MISSING_PERMISSION),
}


def found(path: Path, find, handlers):
    try:
        return parse(path.read_text(), path.name, find, handlers, {}, Path("/srv/etc")).warnings
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_reported_once_with_its_place_and_what_to_do(path, find, handlers):
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    assert [str(problem) for problem in found(path, find, handlers)] == [expected]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_file_is_named_after_its_mistake(path, find, handlers):
    (problem,) = found(path, find, handlers)
    assert path.stem.startswith(Id(problem.id).name.lower().replace("_", "-"))


def test_every_problem_has_a_file_that_shows_it(find, handlers):
    shown = {Id(problem.id) for path in BAD for problem in found(path, find, handlers)}
    assert set(Id) - NEEDS_MORE_THAN_A_FILE <= shown


def test_ten_mistakes_are_reported_in_one_run(find, handlers):
    problems = found(HERE / "ten_mistakes.yaml", find, handlers)
    assert [(problem.line, problem.column, problem.path, problem.id) for problem in problems] == [
        (3, 10, "tenant.cloud", Id.NOT_A_CHOICE),
        (6, 15, "tenant.credential", Id.ONE_CREDENTIAL),
        (9, 18, "handlers.archive.use", Id.UNKNOWN_HANDLER_CLASS),
        (10, 36, "handlers.backup.with.direktory", Id.UNKNOWN_SETTING),
        (12, 5, "mailboxes.0.adress", Id.UNKNOWN_SETTING),
        (13, 11, "mailboxes.0.poll", Id.BAD_DURATION),
        (16, 25, "mailboxes.0.rules.0.when.subject", Id.BAD_PATTERN),
        (16, 39, "mailboxes.0.rules.0.when.has_attachment", Id.UNKNOWN_SETTING),
        (17, 18, "mailboxes.0.rules.0.handle.0", Id.UNKNOWN_HANDLER),
        (18, 15, "mailboxes.0.rules.0.then", Id.MOVE_AND_DELETE),
    ]
    assert all("; " in problem.text for problem in problems), "each says what to do"


def test_an_error_makes_the_exit_code_that_systemd_does_not_restart_on(read):
    with pytest.raises(ConfigError) as caught:
        read("version: 2\n")
    assert caught.value.exit_code == ExitCode.CONFIG == 78


def test_problems_come_in_the_order_of_the_file(find, handlers):
    problems = found(HERE / "ten_mistakes.yaml", find, handlers)
    assert list(problems) == sorted(problems, key=lambda problem: (problem.line, problem.column))


def test_a_handler_named_by_a_slip_is_not_called_unused(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        "handlers: {archive: {use: log}}\n"
        "mailboxes: [{address: a@b.example, rules: [{handle: archiv}]}]\n"
    )
    assert [problem.id for problem in problems(text)] == [Id.UNKNOWN_HANDLER]


def test_a_handler_named_in_a_broken_rule_is_not_called_unused(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        "handlers: {archive: {use: log}, other: {use: log}}\n"
        "mailboxes: [{address: a@b.example, rules: [{handel: archive}]}]\n"
    )
    assert [(problem.id, problem.path) for problem in problems(text)] == [
        (Id.UNUSED_HANDLER, "handlers.other"),
        (Id.UNKNOWN_SETTING, "mailboxes.0.rules.0.handel"),
    ]


def test_a_broken_handler_may_still_be_named(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        "handlers: {archive: {use: log, timeout: soon}}\n"
        "mailboxes: [{address: a@b.example, rules: [{handle: archive}]}]\n"
    )
    assert [problem.id for problem in problems(text)] == [Id.BAD_DURATION]


def test_a_variable_that_is_not_set_has_no_echo(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: '${SECRET}'}}\n"
        "mailboxes: [{address: '${ADDRESS}', poll: '${POLL}', rules: [{handle: '${HANDLER}'}]}]\n"
    )
    assert [(problem.id, problem.path) for problem in problems(text)] == [
        (Id.VARIABLE_NOT_SET, "tenant.credential.client_secret"),
        (Id.VARIABLE_NOT_SET, "mailboxes.0.address"),
        (Id.VARIABLE_NOT_SET, "mailboxes.0.poll"),
        (Id.VARIABLE_NOT_SET, "mailboxes.0.rules.0.handle"),
    ]


def test_a_broken_element_of_a_list_does_not_shift_the_places_of_the_others(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        "mailboxes:\n"
        "  - just text\n"
        "  - address: a@b.example\n"
        "    poll: 1ms\n"
        "    rules: [{handle: log}]\n"
    )
    assert [(problem.line, problem.path, problem.id) for problem in problems(text)] == [
        (3, "mailboxes.0", Id.WRONG_KIND),
        (5, "mailboxes.1.poll", Id.POLL_TOO_FAST),
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("tenant: {tenant_id: t.example, client_secret: s}\n", "it belongs under `credential`"),
        ("handlers: {a: {type: log}}\n", "write `use`"),
        ("handlers: {a: {use: log, directory: x}}\n", "an option of the handler belongs under `with`"),
        ("mailboxes: [{address: a@b.example, rules: [{if: {}, handle: log}]}]\n", "write `when`"),
    ],
)
def test_a_setting_in_the_wrong_place_is_sent_to_the_right_one(problems, text, advice):
    (problem,) = [problem for problem in problems(text) if problem.id == Id.UNKNOWN_SETTING]
    assert advice in problem.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("reconcile: {every: 10s}\n", "'10s' is too small; write 1m or more"),
        ("reconcile: {window: 400d}\n", "'400d' is too large; write 366d or less"),
        ("tenant: {credential: {managed_identity: yes}}\n", "managed_identity is true or {client_id: ...}"),
        ("handlers: {a: {use: log, retry: 3}}\n", "write {attempts: 3}"),
        ("mailboxes: [{address: a@b.example, rules: [{when: {size: 10}}]}]\n", "10 is no limit; write a comparison"),
        ("mailboxes: [{address: a@b.example, rules: [{when: {age: 2d}}]}]\n", "'2d' is no limit; write a comparison"),
        ("mailboxes: [{address: a@b.example, rules: [{then: {flag: yes}}]}]\n", "'yes' is text here; write true"),
    ],
)
def test_a_value_of_the_wrong_form_is_told_the_right_one(problems, text, told):
    assert [problem.text for problem in problems(text) if told in problem.text]
