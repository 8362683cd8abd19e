from __future__ import annotations

import pytest

from postroom.config.environment import expanded
from postroom.config.nodes import plain
from postroom.config.problems import Findings, Id
from postroom.config.yaml_text import read

ENVIRON = {"HOST": "mail.example", "EMPTY": "", "TRICK": "${HOST}", "YAML": "[a, b]"}


def expand(value):
    findings = Findings("")
    tree = read(f"a: '{value}'\n", findings)
    return plain(expanded(tree, ENVIRON, findings)).get("a"), [problem.id for problem in findings.listed()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "mail.example"),
        ("https://${HOST}/x/${HOST}", "https://mail.example/x/mail.example"),
        ("${NONE:-there}", "there"),
        ("${NONE:-}", ""),
        ("${EMPTY:-full}", "full"),
        ("${EMPTY}", ""),
        ("${HOST:-other}", "mail.example"),
        ("$${HOST}", "${HOST}"),
        ("$HOST", "$HOST"),
        ("${TRICK}", "${HOST}"),
        ("${YAML}", "[a, b]"),
    ],
)
def test_a_variable_is_put_in_once(text, value):
    assert expand(text) == (value, [])


@pytest.mark.parametrize("text", ["${", "${}", "${HOST", "${1}", "${A B}", "${HOST-x}"])
def test_a_malformed_variable_is_a_problem(text):
    assert expand(text) == (None, [Id.BAD_VARIABLE])


def test_every_variable_that_is_not_set_is_a_problem():
    assert expand("${ONE}${TWO}") == (None, [Id.VARIABLE_NOT_SET] * 2)


def test_a_variable_with_a_slip_is_guessed(problems):
    (problem,) = [each for each in problems("journal: ${HOTS}\n", HOST="x", HOME="y") if each.id == Id.VARIABLE_NOT_SET]
    assert "(did you mean HOST?)" in problem.text


def test_the_value_of_a_variable_is_never_shown(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "scope: '${SECRET}', credential: {client_secret: ['${SECRET}']}}\n"
        "log: {level: '${SECRET}'}\n"
        "console: {listen: '${SECRET}'}\n"
        "journal: '${SECRET}'\n"
        "limits: {drain: '${SECRET}', in_flight: '${SECRET}'}\n"
        "handlers: {a: {use: save_files, with: {directory: /srv, pattern: 'x/${SECRET}', copies: '${SECRET}'}}}\n"
        "mailboxes:\n"
        "  - {address: 'x ${SECRET}', start: '${SECRET}', folders: '/${SECRET}', rules: '${SECRET}'}\n"
    )
    found = problems(text, SECRET="hunter2")
    assert len(found) >= 12
    assert not [problem for problem in found if "hunter2" in str(problem)]


def test_a_literal_secret_is_never_shown(problems):
    text = "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
    "credential: {client_secret: [hunter2]}}\nmailboxes: []\n"
    assert "hunter2" not in "".join(map(str, problems(text)))


def test_a_variable_can_be_a_number_or_a_switch(full):
    config = full(
        "limits: {in_flight: '${N}'}\nmailboxes: [{address: a@b.example, rules: [{handle: log, stop: '${STOP}'}]}]\n",
        N="2",
        STOP="true",
    )
    assert config.limits.in_flight == 2
    assert config.mailboxes[0].rules[0].stop is True
