from __future__ import annotations

import re

import pytest

from postroom.config.problems import Id
from postroom.model import Categorise, Delete, Flag, Forward, MarkRead, MoveTo, Reply, Send
from postroom.rule import AgeIs, AllOf, AnyOf, HasAttachments, HeaderIs, Not, Pattern, SizeIs, TextIs


@pytest.fixture
def rule(full):
    """Read the only rule of a mailbox."""

    def rule(text):
        return full(f"mailboxes: [{{address: a@b.example, rules: [{text}]}}]\n").mailboxes[0].rules[0]

    return rule


@pytest.fixture
def when(rule):
    """Read a condition."""

    def when(text):
        return rule(f"{{when: {text}, handle: log}}").when

    return when


def patterns(*sources):
    return tuple(Pattern.parse(source) for source in sources)


@pytest.mark.parametrize("text", ["{handle: log}", "{when: {}, handle: log}", "{when: ~, handle: log}"])
def test_a_rule_without_when_takes_every_mail(rule, text):
    assert rule(text).when == AllOf(())


@pytest.mark.parametrize("field", ["from", "to", "subject", "attachment", "category"])
def test_a_text_is_a_pattern_or_a_list_of_them(when, field):
    assert when(f"{{{field}: '*x*'}}") == TextIs(field, patterns("*x*"))
    assert when(f"{{{field}: ['*x*', '/y/']}}") == TextIs(field, patterns("*x*", "/y/"))


def test_importance_is_one_of_three(when, problems):
    assert when("{importance: [low, high]}") == TextIs("importance", patterns("low", "high"))


def test_each_header_must_fit(when):
    assert when("{header: {List-Id: '*', X-Spam: ['yes', '/^5/']}}") == AllOf(
        (HeaderIs("List-Id", patterns("*")), HeaderIs("X-Spam", patterns("yes", "/^5/")))
    )


def test_attachments_are_there_or_not(when):
    assert when("{has_attachments: false}") == HasAttachments(wanted=False)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("'>1kB'", (1001, None)),
        ("'>= 1kB'", (1000, None)),
        ("'<1kB'", (None, 999)),
        ("'<=1kB'", (None, 1000)),
        ("'<0B'", (None, 0)),
        ("{least: 1kB}", (1000, None)),
        ("{least: 1kB, most: 1KiB}", (1000, 1024)),
    ],
)
def test_a_size_has_limits(when, text, limits):
    assert when(f"{{size: {text}}}") == SizeIs(*limits)


@pytest.mark.parametrize(
    ("text", "limits"), [("'>2d'", (172_800.0, None)), ("{least: 1h, most: 2h}", (3600.0, 7200.0))]
)
def test_an_age_has_limits(when, text, limits):
    assert when(f"{{age: {text}}}") == AgeIs(*limits)


def test_several_keys_must_all_hold_and_the_costly_come_last(when):
    made = when("{attachment: '*.pdf', size: '>1kB', age: '<1d', subject: x, has_attachments: true}")
    assert [type(each) for each in made.conditions] == [HasAttachments, TextIs, AgeIs, SizeIs, TextIs]
    assert made.conditions[-1] == TextIs("attachment", patterns("*.pdf"))


def test_any_all_and_not_nest(when):
    made = when("{any: [{subject: a}, {not: {all: [{from: b}, {to: c, subject: d}]}}]}")
    inner = AllOf(
        (TextIs("from", patterns("b")), AllOf((TextIs("to", patterns("c")), TextIs("subject", patterns("d")))))
    )
    assert made == AnyOf((TextIs("subject", patterns("a")), Not(inner)))


def test_a_mail_is_marked_before_it_is_moved(rule):
    then = rule("{handle: log, then: {move_to: Done, flag: complete, categories: [A, B], mark_read: true}}").then
    assert then == (MarkRead(True), Categorise(("A", "B")), Flag("complete"), MoveTo("Done"))


def test_a_mail_may_be_deleted_and_marked_unread(rule):
    assert rule("{handle: log, on_failure: {delete: true, mark_read: false, categories: Failed}}").on_failure == (
        MarkRead(False),
        Categorise(("Failed",)),
        Delete(),
    )


def test_flag_true_is_flagged(rule):
    assert rule("{handle: log, then: {flag: true}}").then == (Flag("flagged"),)


@pytest.fixture
def names(full):
    """Read what the rules of a mailbox are called."""

    def names(*texts):
        config = full(f"mailboxes: [{{address: a@b.example, rules: [{', '.join(texts)}]}}]\n")
        return [rule.name for rule in config.mailboxes[0].rules]

    return names


BILLS = "{when: {subject: 'invoice*', size: '<20MB'}, handle: [log], then: {mark_read: true, delete: false}}"


def test_a_rule_without_a_name_keeps_what_it_is_called_wherever_it_stands(names):
    (alone,) = names(BILLS)
    assert re.fullmatch("unnamed-[0-9a-f]{8}", alone)
    assert names("{when: {subject: spam}, then: {delete: true}}", "{name: x, handle: log}", BILLS)[2] == alone


@pytest.mark.parametrize(
    "same",
    [
        "{then: {mark_read: yes}, handle: log, when: {size: {most: 19999999B}, subject: ['invoice*']}}",
        "{handle: log, then: {mark_read: true}, when: {size: '<20MB', subject: 'invoice*'}, on_failure: {}}",
    ],
)
def test_a_rule_without_a_name_is_the_same_however_it_is_laid_out(names, same):
    assert names(BILLS) == names(same)


@pytest.mark.parametrize(
    "other",
    [
        BILLS.replace("invoice*", "invoices*"),
        BILLS.replace("20MB", "21MB"),
        BILLS.replace("handle: [log], ", ""),
        BILLS.replace("mark_read: true", "mark_read: false"),
        BILLS.replace("then", "on_failure"),
        BILLS.replace("}}", "}, stop: true}"),
        BILLS.replace("when: {", "when: {any: [{}], "),
    ],
)
def test_a_rule_without_a_name_that_says_something_else_is_another_one(names, other):
    assert names(BILLS) != names(other)


def test_what_a_rule_without_a_name_is_called_does_not_change_with_the_program(names):
    """The journals of earlier versions have it: a change makes their mails wait for a rule that is lost."""
    when = "{subject: 'invoice*', size: '>1kB', age: '<2d', not: {header: {X-Spam: '*'}}, any: [{}]}"
    then = "{forward: a@supplier.example, categories: [Größe], flag: true, move_to: Done}"
    assert names(f"{{when: {when}, handle: [log], then: {then}, stop: true}}") == ["unnamed-8cfd1672"]


def test_rules_without_a_name_that_say_the_same_are_told_apart(names):
    first, second, third = names(*3 * ["{handle: log}"])
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_a_name_that_a_nameless_rule_has_is_taken(problems, names):
    (name,) = names("{handle: log}")
    assert duplicates(problems, "{handle: log}", f"{{name: {name}, handle: log}}") == [Id.DUPLICATE_RULE]


def test_two_rules_of_one_name_are_a_mistake(problems):
    assert duplicates(problems, "{name: x, handle: log}", "{name: x, stop: true}") == [Id.DUPLICATE_RULE]


def duplicates(problems, *rules):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        f"mailboxes: [{{address: a@b.example, rules: [{', '.join(rules)}]}}]\n"
    )
    return [problem.id for problem in problems(text)]


def test_a_rule_may_only_stop(full):
    assert full("mailboxes: [{address: a@b.example, rules: [{when: {subject: x*}, stop: true}]}]\n").warnings == ()


@pytest.mark.parametrize("when", ["", "when: {all: [{}, {all: [{}]}]}, "])
def test_rules_behind_one_that_takes_all_and_stops_are_a_warning(full, when):
    config = full(f"mailboxes: [{{address: a@b.example, rules: [{{{when}stop: true}}, {{handle: log}}]}}]\n")
    assert [problem.id for problem in config.warnings] == [Id.UNREACHABLE_RULE]


@pytest.mark.parametrize(
    "pattern", ["/(/", "/[/", "/a{99999999999}/", "/*/", "/" + "(" * 3000 + "/", "/[[a]/", "/(?P<x>a)(?P<x>b)/"]
)
def test_a_malformed_pattern_is_a_problem(problems, pattern):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        f"mailboxes: [{{address: a@b.example, rules: [{{when: {{subject: '{pattern}'}}, handle: log}}]}}]\n"
    )
    assert [problem.id for problem in problems(text)] == [Id.BAD_PATTERN]


@pytest.mark.parametrize(
    "text", ["{any: []}", "{from: []}", "{from: ''}", "{header: {}}", "{size: {}}", "{importance: urgent}"]
)
def test_a_condition_that_asks_nothing_is_a_problem(problems, text):
    found = problems(
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n"
        f"mailboxes: [{{address: a@b.example, rules: [{{when: {text}, handle: log}}]}}]\n"
    )
    assert [problem.severity for problem in found] == ["error"]


def test_what_is_sent_comes_before_all_else_and_may_be_written_short(rule):
    then = rule("{handle: log, then: {delete: true, reply: Hello, forward: a@b.example, mark_read: true}}").then
    assert then == (Reply("Hello"), Forward(("a@b.example",)), MarkRead(True), Delete())


def test_what_is_sent_may_be_written_whole(rule):
    made = rule(
        "{handle: log, then: {reply: {text: T, subject: S, to_all: true}, forward: {to: [a@b.example], comment: C}}, "
        "on_failure: {send: {to: a@b.example, cc: [c@d.example], subject: S, text: T}}}"
    )
    assert made.then == (Reply("T", "S", True), Forward(("a@b.example",), "C"))
    assert made.on_failure == (Send(("a@b.example",), "S", "T", ("c@d.example",)),)
