from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic.errors import PydanticInvalidForJsonSchema

from postroom.config import json_schema, load
from postroom.config.environment import expanded
from postroom.config.nodes import plain
from postroom.config.problems import Findings
from postroom.config.yaml_text import read
from postroom.errors import HandlerError
from postroom.plugin import Handler, Options

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "postroom.yaml"
SCHEMA = ROOT / "config" / "postroom.schema.json"
BAD = Path(__file__).parent / "bad"

SHOWN_BY_EDITORS = [
    "bad-duration",
    "bad-duration-without-unit",
    "bad-listen",
    "bad-name",
    "missing-setting",
    "missing-setting-mailboxes",
    "missing-setting-of-handler",
    "missing-setting-use",
    "not-a-choice",
    "not-a-choice-cloud",
    "one-credential",
    "one-credential-none",
    "out-of-range",
    "out-of-range-empty",
    "unknown-handler-class",
    "unknown-setting",
    "unknown-setting-of-handler",
    "wrong-kind",
    "wrong-kind-text",
]


@pytest.fixture(scope="module")
def built_in() -> dict[str, type[Handler[Any]]]:
    """The handlers that Postroom itself registers, whatever else is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = project["entry-points"]["postroom.handlers"]
    split = {name: target.split(":") for name, target in targets.items()}
    return {name: getattr(importlib.import_module(module), cls) for name, (module, cls) in split.items()}


@pytest.fixture(scope="module")
def schema(built_in):
    """The schema of the built-in handlers."""
    return json_schema(built_in)


@pytest.fixture(scope="module")
def validate(handlers):
    """Check a text as an editor does: as written, variables and all."""
    validator = jsonschema.Draft7Validator(json_schema(handlers))

    def validate(text: str) -> list[str]:
        findings = Findings("")
        tree = read(text, findings)
        assert tree is not None
        assert not findings.failed
        return [error.message for error in validator.iter_errors(plain(tree))]

    return validate


def test_the_stored_schema_is_that_of_the_code(schema):
    """On failure: `postroom schema > config/postroom.schema.json`."""
    assert json.loads(SCHEMA.read_text()) == schema


def test_the_schema_is_a_schema(schema):
    jsonschema.Draft7Validator.check_schema(schema)


def test_every_reference_of_the_schema_leads_somewhere(schema):
    text = json.dumps(schema)
    names = {part.partition('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert names <= schema["$defs"].keys()


def test_every_setting_of_ours_is_explained(handlers):
    definitions = json_schema(handlers)["$defs"]
    for section, definition in definitions.items():
        if section.endswith(("Section", "Range")):
            for name, setting in definition["properties"].items():
                assert setting.get("description"), f"{section}.{name}"


def test_the_example_is_right_by_the_schema(schema):
    tree = read(EXAMPLE.read_text(), Findings(""))
    jsonschema.Draft7Validator(schema).validate(plain(tree))


def test_the_example_stays_right_when_the_environment_is_put_in(schema):
    environ = {
        "AZURE_TENANT_ID": "t.example",
        "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
        "AZURE_CLIENT_SECRET": "s",
    }
    tree = expanded(read(EXAMPLE.read_text(), Findings("")), environ, Findings(""))
    jsonschema.Draft7Validator(schema).validate(plain(tree))


def example(built_in, **environ):
    def find(use, directory):
        if use not in built_in:
            raise HandlerError(f"no {use}")
        return built_in[use]

    return load(EXAMPLE, find, built_in, environ)


def test_the_example_has_no_problem_and_no_warning_but_for_its_directory(built_in):
    config = example(
        built_in,
        AZURE_TENANT_ID="t.example",
        AZURE_CLIENT_ID="22222222-2222-2222-2222-222222222222",
        AZURE_CLIENT_SECRET="s",
    )
    assert {warning.id for warning in config.warnings} <= {"PR028"}, "its state directory is made by who runs it"
    assert config.tenants["default"].cloud.name == "global"
    assert config.journal == f"sqlite:///{ROOT}/config/state/journal.db"
    assert [mailbox.address for mailbox in config.mailboxes] == [
        f"{name}@contoso.example" for name in ("invoices", "support", "dmarc", "orders")
    ]


def test_the_example_runs_against_a_simulated_tenant_by_variables_alone(built_in, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    config = example(
        built_in,
        AZURE_TENANT_ID="t.example",
        AZURE_CLIENT_ID="22222222-2222-2222-2222-222222222222",
        AZURE_CLIENT_SECRET="s",
        POSTROOM_LOGIN="https://127.0.0.1:1",
        POSTROOM_GRAPH="https://127.0.0.1:2",
        POSTROOM_CA_FILE=str(authority),
        POSTROOM_DOMAIN="demo.example",
        POSTROOM_STATE=str(tmp_path),
        POSTROOM_LISTEN="127.0.0.1:0",
        POSTROOM_POLL="1s",
        POSTROOM_START="all",
    )
    cloud = config.tenants["default"].cloud
    assert (cloud.login, cloud.graph, cloud.ca_file) == ("https://127.0.0.1:1", "https://127.0.0.1:2", authority)
    assert config.journal == f"sqlite:///{tmp_path}/journal.db"
    assert {(mailbox.poll, mailbox.start) for mailbox in config.mailboxes} == {(1.0, "all")}
    assert config.mailboxes[0].address == "invoices@demo.example"
    assert config.handlers["invoices"].options.directory == tmp_path / "invoices"


@pytest.mark.parametrize("name", SHOWN_BY_EDITORS)
def test_an_editor_shows_the_mistake_too(validate, name):
    assert validate((BAD / f"{name}.yaml").read_text())


def test_an_editor_takes_a_variable_wherever_one_may_stand(validate):
    text = (
        "version: 1\n"
        "tenant: {cloud: '${C}', tenant_id: '${T}', client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: '${S}'}}\n"
        "limits: {in_flight: '${N}', drain: '${D:-30s}'}\n"
        "log: {level: '${LEVEL}'}\n"
        "handlers: {a: {use: save_files, with: {directory: '${DIR}', copies: '${N}'}}}\n"
        "mailboxes: [{address: '${A}', poll: '${P}', start: '${S}', rules: [{handle: a, stop: '${B}'}]}]\n"
    )
    assert validate(text) == []


def test_an_editor_takes_what_the_daemon_takes(validate):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {managed_identity: true}}\n"
        "handlers: {a: {use: './my.py:Mine', with: {anything: [goes]}}}\n"
        "mailboxes:\n"
        "  - address: a@b.example\n"
        "    folders: Inbox\n"
        "    start: 2026-01-31\n"
        "    rules:\n"
        "      - when: {from: x, size: '>1MB', age: {most: 2d}, importance: high, any: [{subject: [a, b]}]}\n"
        "        handle: a\n"
        "        then: {flag: true, categories: x}\n"
    )
    assert validate(text) == []


class Secretive(Options):
    key: Callable[[], int] | None = None


class Odd(Handler[Secretive]):
    """Have options that no schema can tell."""

    async def handle(self, message, context):
        return None


def test_a_handler_whose_options_no_schema_can_tell_takes_any():
    with pytest.raises(PydanticInvalidForJsonSchema):
        Secretive.model_json_schema()
    assert json_schema({"odd": Odd})["$defs"]["with.odd"] == {"type": "object"}
