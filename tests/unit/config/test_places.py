"""Journal and console: whether they are there, and who can come to them."""

from __future__ import annotations

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


def test_a_journal_on_postgresql_without_its_driver_is_an_error(problems, monkeypatch):
    monkeypatch.setattr("postroom.config.place_checks.find_spec", lambda _: None)
    found = problems("journal: postgresql://u:hush@db.example/j\n")
    assert "PR029" in [problem.id for problem in found]
    assert "hush" not in str(found)
