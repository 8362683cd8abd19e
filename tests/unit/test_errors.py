"""Errors: what happened, what to do, and whether waiting helps."""

from __future__ import annotations

import inspect
import re

import pytest

from postroom import errors
from postroom.errors import (
    AuthError,
    ConfigError,
    ExitCode,
    GraphError,
    PostroomError,
    Problem,
    QuotaExceeded,
    TemporaryError,
    Throttled,
)

CLASSES = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, PostroomError)]


def test_an_error_says_what_happened_and_then_what_to_do():
    assert str(PostroomError("The disk is full.", remedy="Make room.")) == "The disk is full. Make room."
    assert str(PostroomError("The disk is full.")) == "The disk is full."


def test_fields_that_are_not_known_are_left_out_of_the_log():
    error = GraphError("x", status=503, code="", request_id="abc", mailbox="a@b", folder=None)

    assert error.fields == {"status": 503, "request_id": "abc", "mailbox": "a@b"}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_is_the_tree(kind):
    line = next((line for line in (errors.__doc__ or "").splitlines() if re.search(rf"\b{kind.__name__}\b", line)), "")

    assert line, f"{kind.__name__} is missing"
    if stated := re.search(r"exit (\d+)$", line):
        assert kind.exit_code == int(stated[1])


@pytest.mark.parametrize(
    ("kind", "temporary"), [(Throttled, True), (errors.Unavailable, True), (errors.Conflict, True)]
)
def test_what_waiting_helps_is_marked_so(kind, temporary):
    assert kind("x").temporary is temporary


def test_other_graph_errors_do_not_pass_by_themselves():
    assert not any(
        kind("x").temporary
        for kind in (errors.Forbidden, errors.NotFound, QuotaExceeded, errors.Refused, errors.ResyncRequired)
    )
    assert TemporaryError("x").temporary
    assert not errors.HandlerError("x").temporary


def test_a_sign_in_error_says_itself_whether_it_passes():
    assert AuthError("x", code="unreachable", temporary=True).temporary
    assert not AuthError("x", code="AADSTS7000215").temporary
    assert AuthError("x", code="AADSTS7000215", trace_id="t").fields == {"code": "AADSTS7000215", "trace_id": "t"}


def test_exit_codes_are_those_of_sysexits():
    assert {code.name: code.value for code in ExitCode if code > 63} == {
        "UNAVAILABLE": 69,
        "INTERNAL": 70,
        "JOURNAL": 74,
        "LOCKED": 75,
        "SIGN_IN": 77,
        "CONFIG": 78,
    }


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("PR012", "error", "a.b", "is wrong"), "a.b: is wrong [PR012]"),
        (Problem("PR012", "error", "a.b", "is wrong", "x.yaml", 3, 7), "x.yaml:3:7: a.b: is wrong [PR012]"),
        (Problem("PR012", "error", "", "is wrong", "x.yaml"), "x.yaml: is wrong [PR012]"),
        (Problem("PR038", "warning", "a", "is odd"), "a: is odd [PR038] (warning)"),
    ],
)
def test_a_problem_says_where_it_is(problem, line):
    assert str(problem) == line


def test_only_errors_are_counted_among_a_configurations_problems():
    problems = [Problem("PR1", "error", "a", "x"), Problem("PR2", "warning", "b", "y")]

    assert ConfigError(problems).message == "1 problem in the configuration."
    assert ConfigError(problems).remedy
    assert ConfigError(problems).problems == tuple(problems)
    assert ConfigError(problems * 2).message == "2 problems in the configuration."
