"""What a command loads is what it needs: a start is waited for, and what it has loaded stays in memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"pydantic", "yaml", "sqlalchemy", "aiohttp", "structlog", "msal", "requests", "cryptography", "rich"}


def loaded(program: str) -> set[str]:
    """Return the modules that a new process has loaded after a program, packages included."""
    program = f"import json, sys\n{program}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=50)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def daemon_modules():
    """What the daemon loads while it signs in."""
    return loaded("import postroom.cli.run, postroom.cli.serve")


def test_help_loads_no_library_but_click():
    help_ = "from postroom.cli.main import run\nrun(['--help'])"
    assert loaded(help_) & HEAVY == set()


@pytest.mark.parametrize("command", ["check", "handlers", "schema"])
def test_commands_that_read_the_configuration_load_no_journal_and_no_client(command):
    assert loaded(f"import postroom.cli.{command}") & HEAVY <= {"pydantic", "yaml", "structlog", "rich"}


def test_the_daemon_begins_to_sign_in_with_nothing_but_its_configuration():
    assert loaded("import postroom.cli.run") & HEAVY == {"pydantic", "yaml"}


@pytest.mark.parametrize(
    "module",
    [
        "msal",  # by the thread that signs in
        "requests",  # same
        "cryptography",  # only for a certificate
        "jwt",
        "rich",  # only for people
        "pygments",
        "jinja2",  # only for a console
        "aiohttp.web",
        "alembic",  # only for a new schema
        "sqlalchemy.dialects.postgresql",  # only for a journal there
        "postroom.simulator",
        "postroom.testing",
    ],
)
def test_a_daemon_does_without(module, daemon_modules):
    assert module not in daemon_modules
