"""Journal and console: whether they are there, and who can come to them."""

from __future__ import annotations

import os

import pytest


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.0.0.2:1", "localhost:1", "'[::1]:1'"])
def test_a_console_on_this_machine_needs_no_word(full, listen):
    assert full(f"console: {{listen: {listen}}}\n").warnings == ()


@pytest.mark.parametrize("listen", ["10.0.0.1:1", "'[::]:1'", "mail.example:1"])
def test_a_console_that_others_can_reach_is_a_warning(full, listen):
    assert [problem.id for problem in full(f"console: {{listen: {listen}}}\n").warnings] == ["PR027"]


def test_a_directory_that_is_there_is_no_problem(full, tmp_path):
    assert [problem.id for problem in full("journal: sqlite:///state/j.db\n").warnings] == ["PR028"]
    (tmp_path / "state").mkdir()
    assert full("journal: sqlite:///state/j.db\n").warnings == ()
    assert full("journal: sqlite:///j.db?mode=rw\n").warnings == ()


def test_a_directory_or_a_file_that_may_not_be_written_to_is_a_warning(full, tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "j.db").touch()
    closed = set()
    monkeypatch.setattr("os.access", lambda path, mode: not (mode & os.W_OK and str(path) in closed))
    for name in ("state", "state/j.db"):
        closed = {str(tmp_path / name)}
        (problem,) = full("journal: sqlite:///state/j.db\n").warnings
        assert problem.id == "PR028"
        assert f"{tmp_path / name} may not be written to" in problem.text
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path / "state"))
    assert full("journal: sqlite:///state/j.db\n").warnings == (), "the daemon's user may look into it"


def test_a_journal_on_postgresql_without_its_driver_is_an_error(problems, monkeypatch):
    monkeypatch.setattr("postroom.config.place_checks.find_spec", lambda _: None)
    found = problems("journal: postgresql://u:hush@db.example/j\n")
    assert "PR029" in [problem.id for problem in found]
    assert "hush" not in str(found)
