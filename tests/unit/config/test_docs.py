"""The reference says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from postroom.config import json_schema
from postroom.config.problems import WARNINGS, Id

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"

SECTIONS = {
    "File": "The file",
    "TenantSection": "`tenant`",
    "CloudSection": "`tenant.cloud`",
    "CredentialSection": "`tenant.credential`",
    "ManagedIdentitySection": "`tenant.credential.managed_identity`",
    "ConsoleSection": "`console`",
    "LimitsSection": "`limits`",
    "ReconcileSection": "`reconcile`",
    "RetentionSection": "`retention`",
    "SendingSection": "`sending`",
    "LogSection": "`log`",
    "HandlerSection": "`handlers.NAME`",
    "RetrySection": "`handlers.NAME.retry`",
    "BreakerSection": "`handlers.NAME.breaker`",
    "MailboxSection": "`mailboxes[]`",
    "RuleSection": "`mailboxes[].rules[]`",
    "WhenSection": "`mailboxes[].rules[].when`",
    "SizeRange": "`size`",
    "AgeRange": "`age`",
    "ActionsSection": "`then` and `on_failure`",
    "ReplySection": "`reply`",
    "ForwardSection": "`forward`",
    "SendSection": "`send`",
}


def rows(definition) -> list[str]:
    """Return the table of a section, one row a setting."""
    return [
        f"| `{name}` | {default(name, setting, definition)} | {setting['description']} |"
        for name, setting in definition["properties"].items()
    ]


def default(name, setting, definition) -> str:
    if name in definition.get("required", ()):
        return "*required*"
    value = setting.get("default")
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value is not None else ""


@pytest.fixture(scope="module")
def schema():
    """The schema without any handler."""
    return json_schema({})


@pytest.fixture(scope="module")
def configuration() -> dict[str, str]:
    """The text below each heading of configuration.md."""
    parts = re.split(r"^## (.*)\n", (REFERENCE / "configuration.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_stands_in_the_reference_as_it_is(configuration, schema, section):
    definition = schema if section == "File" else schema["$defs"][section]
    written = [line for line in configuration[SECTIONS[section]].splitlines() if line.startswith("| `")]
    assert written == rows(definition)


def test_every_section_stands_in_the_reference(schema):
    assert set(schema["$defs"]) - {"variable"} == set(SECTIONS) - {"File"}


def test_every_problem_stands_in_the_reference_with_its_name():
    headings = re.findall(r"^### (PR\d{3}) (.*)$", (REFERENCE / "problems.md").read_text(), re.MULTILINE)
    names = [(id_.value, id_.name.lower().replace("_", " ") + (" (warning)" if id_ in WARNINGS else "")) for id_ in Id]
    assert headings == sorted(names)


def test_every_problem_is_explained_and_says_what_to_do():
    parts = re.split(r"^### PR\d{3} .*\n", (REFERENCE / "problems.md").read_text(), flags=re.MULTILINE)[1:]
    for part in parts:
        text = part.partition("\n## ")[0].strip()
        assert len(text) > 60
        assert "**Do:**" in text
