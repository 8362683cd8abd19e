"""Failure points: the table and the code name the same ones, and one that is armed ends the process."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import postroom
from postroom.failpoints import EXIT_CODE, POINTS, VARIABLE, Failpoint

SOURCE = Path(postroom.__file__).parent


def _reached() -> list[str | None]:
    """Return what each call of `reach` in the program names; None where it is no plain string."""
    calls = (
        node
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach"
    )
    return [getattr(call.args[0], "value", None) for call in calls]


def test_each_point_is_reached_somewhere_and_each_reach_names_a_point():
    assert set(_reached()) == set(POINTS)


def test_each_commit_has_a_point_before_it_and_one_after_it():
    commits = {name.partition(".")[0] for name in POINTS if name.endswith((".written", ".committed"))}
    assert {f"{commit}.{when}" for commit in commits for when in ("written", "committed")} <= set(POINTS)


def test_each_method_of_the_journal_that_writes_has_a_point_after_its_commit():
    (journal,) = (
        node
        for node in ast.parse((SOURCE / "journal" / "store.py").read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "SqlJournal"
    )
    methods = {ast.unparse(each) for each in journal.body if isinstance(each, ast.AsyncFunctionDef)}
    writing = {each for each in methods if "self.database.write(" in each}
    assert len(writing) > 10
    assert [each for each in writing if ".committed')" not in each] == []


@pytest.mark.parametrize(("text", "survived"), [("page.written", 0), ("page.written:3", 2), ("turn.written", 9)])
def test_the_process_ends_when_it_comes_to_the_point_for_the_nth_time(text, survived):
    code = (
        "from postroom.failpoints import reach\nfor n in range(9):\n    reach('page.written')\n    print(n, flush=True)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, VARIABLE: text}, capture_output=True, check=False
    )
    assert len(ended.stdout.splitlines()) == survived
    assert ended.returncode == (EXIT_CODE if survived < 9 else 0)


@pytest.mark.parametrize("text", ["page.lost", "page.written:x", "page.written:-1"])
def test_a_point_there_is_not_is_refused_with_those_there_are(text):
    with pytest.raises(ValueError, match=r"page\.written"):
        Failpoint(text)
