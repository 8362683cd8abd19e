"""The table of what the simulated tenant models keeps its word: every test it names exists."""

import re

import pytest

HEADINGS = ["Messages and attachments", "Change tracking, folders, limits", "Sign-in, faults, server"]


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "explanation" / "fidelity.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows(page):
    """The cells of every row of every table, without heads and rules."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    return [row for row in cells if row[0] != "Behaviour" and not set(row[0]) <= {"-"}]


@pytest.fixture(scope="module")
def tests(root):
    """The names of all tests there are."""
    sources = (root / "tests").rglob("test_*.py")
    return {name for path in sources for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}


def test_every_test_the_table_names_exists(page, tests):
    named = set(re.findall(r"`(test_\w+)`", page))
    assert sorted(named - tests) == []


def test_every_row_names_a_behaviour_a_source_and_a_test_or_why_there_is_none(rows):
    unsaid = [
        row for row in rows if len(row) != 3 or not all(row) or not re.match(r"`test_\w+`|not modelled: \S", row[2])
    ]
    assert unsaid == []


def test_the_table_has_a_part_for_each_side_of_the_service(page):
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADINGS


def test_no_behaviour_is_listed_twice(rows):
    behaviours = [row[0] for row in rows]
    assert sorted({name for name in behaviours if behaviours.count(name) > 1}) == []
