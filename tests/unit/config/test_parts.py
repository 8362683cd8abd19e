"""Commands that look beside a daemon need a single part of the file; nothing else of it stands in their way."""

from __future__ import annotations

import pytest

from postroom.config import Listen, load_console, load_journal, load_rules
from postroom.errors import ConfigError

WRONG = """\
tenant: {tenant_id: 7, credential: {certificate_file: "${CREDENTIALS_DIRECTORY}/app.pem"}}
journal: sqlite:///${STATE}/journal.db
console: {listen: "127.0.0.1:8000"}
nonsense: true
nonsense: false
mailboxes:
  - {address: "${OTHER}@b.example", poll: soon, rules: [{handle: nobody, when: {subject: "/(/"}}]}
  - {address: A@b.example, poll: soon, rules: [{name: first, handle: nobody, stop: true}, {name: second}]}
"""


@pytest.fixture
def file(tmp_path):
    def file(text):
        path = tmp_path / "postroom.yaml"
        path.write_text(text)
        return path

    return file


def test_journal_and_console_are_found_in_a_file_that_is_wrong_elsewhere(file, tmp_path):
    path = file(WRONG)
    assert load_journal(path, {"STATE": "state"}) == f"sqlite:///{tmp_path}/state/journal.db"
    assert load_console(path, {}) == Listen("127.0.0.1", 8000)


def test_what_is_left_out_has_its_default(file, tmp_path):
    path = file("version: 1\n")
    assert load_journal(path, {}) == f"sqlite:///{tmp_path}/postroom.db"
    assert load_console(path, {}) is None


def test_the_rules_of_one_mailbox_need_no_other(file):
    rules = load_rules(file(WRONG), "a@B.example", {})
    assert [(rule.name, rule.handle, rule.stop) for rule in rules or ()] == [
        ("first", ("nobody",), True),
        ("second", (), False),
    ]
    assert load_rules(file(WRONG), "lost@b.example", {"OTHER": "x"}) is None


@pytest.mark.parametrize(
    ("wanted", "text", "id_"),
    [
        (load_journal, WRONG, "PR006"),
        (load_journal, "journal: nowhere\n", "PR026"),
        (load_journal, "journal: sqlite:///a\njournal: sqlite:///b\n", "PR003"),
        (load_journal, "journal: 'a\n", "PR002"),
        (load_console, "console: {listen: here}\n", "PR020"),
        (lambda path, environ: load_rules(path, "x@b.example", environ), WRONG, "PR006"),
        (lambda path, _: load_rules(path, "-@b.example", {"OTHER": "-"}), WRONG, "PR017"),
    ],
)
def test_what_is_needed_and_wrong_is_reported_alone(file, wanted, text, id_):
    with pytest.raises(ConfigError) as caught:
        wanted(file(text), {})
    assert [problem.id for problem in caught.value.problems] == [id_]


def test_a_file_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_journal(tmp_path / "lost.yaml", {})
    assert [problem.id for problem in caught.value.problems] == ["PR001"]
