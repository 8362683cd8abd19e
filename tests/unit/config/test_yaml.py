from __future__ import annotations

import pytest

from postroom.config.nodes import plain
from postroom.config.problems import Findings, Id
from postroom.config.yaml_text import LARGEST, read


def tree(text):
    findings = Findings("")
    node = read(text, findings)
    assert not findings.listed()
    return node


def wrong(text):
    findings = Findings("")
    read(text, findings)
    return [(problem.id, problem.line, problem.column) for problem in findings.listed()]


def test_a_value_knows_its_line_and_column():
    node = tree("a:\n  - x\n  - {b: y}\n").child("a").child(1).child("b")
    assert (node.line, node.column, node.key, node.path) == (3, 9, (3, 6), ("a", 1, "b"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1.5", 1.5),
        ("no", "no"),
        ("on", "on"),
        ("2026-01-31", "2026-01-31"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("'12'", "12"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_are_read_as_yaml_1_2_reads_them(text, value):
    read_value = plain(tree(f"a: {text}\n"))["a"]
    assert (type(read_value), read_value) == (type(value), value)


def test_aliases_stand_for_what_they_name():
    assert plain(tree("a: &x {b: 1}\nc: *x\n")) == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_merge_gives_what_the_mapping_itself_does_not_say():
    text = "a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\nf: {<<: [*x, *y], b: 9}\n"
    assert plain(tree(text))["f"] == {"b": 9, "c": 2, "e": 4}


def test_every_duplicate_key_is_reported():
    assert wrong("a: 1\nb: {c: 1, c: 2}\na: 3\n") == [(Id.DUPLICATE_KEY, 2, 11), (Id.DUPLICATE_KEY, 3, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [" + "*a, " * 3 + "]\n",
        "a: &a {<<: *a}\n",
        "a: &a {<<: [*a]}\n",
        "[" * 5_000,
        "x: " + "[" * 60 + "]" * 60,
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        "a: " + "x" * LARGEST,
    ],
    ids=["self", "merged self", "merged list of self", "unclosed", "deep", "laughs", "long"],
)
def test_what_would_expand_without_end_is_refused(text):
    assert Id.TOO_LARGE in [id_ for id_, _, _ in wrong(text)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: \0\n", (2, 4)),
        ("a: 'x\nb: 2\n", (1, 4)),
        ("a: b: c\n", (1, 5)),
        ("a: *nobody\n", (1, 4)),
        ("a: 1\n---\nb: 2\n", (2, 1)),
        ('a: "\\q"\n', (1, 6)),
        ("a: 1\n b: 2\n", (2, 3)),
        ("a: [1, 2\nb: 3\n", (2, 2)),
    ],
)
def test_a_slip_in_the_syntax_is_shown_where_it_is(text, place):
    assert wrong(text) == [(Id.NOT_YAML, *place)]


def test_an_empty_file_and_a_list_are_no_configuration():
    assert wrong("# nothing\n") == [(Id.MISSING_SETTING, 1, 1)]
    assert wrong("\n- a\n") == [(Id.WRONG_KIND, 2, 1)]


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system [ls]", "a: !x {b: 1}", "? [a]\n: b", "a: !!int x"]
)
def test_yaml_that_means_nothing_here_is_refused(text):
    assert [id_ for id_, _, _ in wrong(text)] == [Id.UNSUPPORTED_YAML]


def test_a_number_beyond_all_measure_is_refused():
    assert [id_ for id_, _, _ in wrong(f"a: {'9' * 5000}\n")] == [Id.UNSUPPORTED_YAML]
