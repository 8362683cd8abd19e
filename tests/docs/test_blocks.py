"""What the pages show is true: every configuration loads, every handler's test passes, every option exists.

The word after ```yaml says what a block is: nothing for settings of the configuration file (a whole one, or some of its
sections), ``rule``, ``when`` or ``handler`` for one of these, ``other`` for another program's file. The words after
```python are the name of the reader's file.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from postroom.cli.main import cli
from postroom.config import load
from postroom.errors import ConfigError
from postroom.registry import HandlerRegistry

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^( *)```(\w+)(?: +(\S+))?\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
MINIMAL = {
    "tenant": {
        "tenant_id": "contoso.example",
        "client_id": "22222222-2222-2222-2222-222222222222",
        "credential": {"client_secret": "a secret"},
    },
    "mailboxes": [{"address": "a@contoso.example", "rules": [{"handle": "log"}]}],
}
ENVIRONMENT = {
    "AZURE_TENANT_ID": "contoso.example",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "a secret",
    "CREDENTIALS_DIRECTORY": "/run/credentials/postroom.service",
}
FILLED_IN = {
    "YOUR-TENANT-ID": "contoso.example",
    "YOUR-APPLICATION-ID": "22222222-2222-2222-2222-222222222222",
}
"""What a page asks its reader to put in the place of these words."""

ON_THE_READERS_MACHINE = {"PR037"}
"""Files that a page names are not here."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    word: str
    text: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], found[3] or "", textwrap.dedent(found[4]))


def filled_in(text):
    for words, value in FILLED_IN.items():
        text = text.replace(words, value)
    return text


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def written(language, *words):
    chosen = [each for each in BLOCKS if each.language == language and (not words or each.word in words)]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=str)


def whole(block):
    """Put a fragment where it belongs in a whole configuration."""
    part = yaml.safe_load(filled_in(block.text))
    if block.word == "when":
        part = {"when": part["when"], "handle": "log"}
    if block.word in ("rule", "when"):
        return {
            **MINIMAL,
            "mailboxes": [{"address": "a@contoso.example", "rules": part if isinstance(part, list) else [part]}],
        }
    if block.word == "handler":
        return {**MINIMAL, "handlers": {"mine": part}}
    if block.word == "mailbox":
        return {**MINIMAL, "mailboxes": part}
    rest = {key: value for key, value in MINIMAL.items() if key != "tenant" or "tenants" not in part}
    return {**rest, **part}


def with_declared_handlers(config):
    """Declare what a fragment's rules name and another part of the page declares."""
    named = {
        name
        for mailbox in config["mailboxes"]
        for rule in mailbox.get("rules", [])
        for name in ([rule["handle"]] if isinstance(rule.get("handle"), str) else rule.get("handle", []))
    }
    declared = {name: {"use": "log"} for name in named - {"log"}}
    return {**config, "handlers": {**declared, **(config.get("handlers") or {})}}


def write_files(page, directory):
    files = [block for block in blocks_of(page) if block.language == "python" and block.word]
    for block in files:
        path = directory / block.word
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    return [directory / block.word for block in files]


@written("yaml", "", "rule", "when", "handler", "mailbox")
def test_every_configuration_loads(block, tmp_path):
    write_files(block.page, tmp_path)
    file = tmp_path / "postroom.yaml"
    file.write_text(yaml.safe_dump(with_declared_handlers(whole(block))), encoding="utf-8")
    registry = HandlerRegistry.installed()
    try:
        load(file, registry.load, registry.names(), ENVIRONMENT)
    except ConfigError as error:
        found = [each for each in error.problems if each.severity == "error" and each.id not in ON_THE_READERS_MACHINE]
        assert found == [], [str(each) for each in found]


def test_every_yaml_block_says_what_it_is():
    known = {"", "rule", "when", "handler", "mailbox", "other"}
    assert [str(block) for block in BLOCKS if block.language == "yaml" and block.word not in known] == []


@written("yaml", "other")
def test_other_programs_files_are_yaml(block):
    assert isinstance(yaml.safe_load(block.text), dict)


@written("json")
def test_every_json_block_is_json(block):
    json.loads(block.text)


@written("python")
def test_every_python_block_can_be_compiled(block):
    ast.parse(block.text)


@pytest.mark.parametrize(
    "page", sorted({block.page for block in BLOCKS if "test_" in block.word}), ids=lambda page: page.name
)
def test_the_readers_tests_pass(page, tmp_path):
    write_files(page, tmp_path)
    pytest_itself = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=strict", "."]
    ran = subprocess.run(
        [*pytest_itself, "-o", "asyncio_default_fixture_loop_scope=function"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "daemon")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def commands_in(block):
    """Yield the arguments of each call of `postroom` in a console block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        typed = re.match(r"(?:\$ )?(?:\S*/)?postroom (.*)", line)
        if typed and not line.startswith("postroom."):
            yield shlex.split(re.split(r" [|>&#]|  #", typed[1])[0])


@written("console")
def test_every_option_that_is_typed_exists(block):
    for arguments in commands_in(block):
        command, rest = cli, list(arguments)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command, name = command.get_command(click.Context(command), rest[0]), rest.pop(0)
            assert command is not None, name
        options = {name for param in command.params for name in param.opts} | {"--help", "--version"}
        typed = {each.partition("=")[0] for each in rest if each.startswith("-")}
        assert typed <= options, f"{block}: postroom {' '.join(arguments)}"
