import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from postroom.cli import handlers as module
from postroom.cli.describe import describe
from postroom.cli.handlers import class_name, filled, handlers
from postroom.handlers import payload
from postroom.handlers.command import INHERITED, metadata
from postroom.handlers.placement import PLACEHOLDERS
from postroom.plugin import Handler
from postroom.registry import HandlerRegistry, Registered
from postroom.testing import FakeContext, make_message

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference" / "handlers.md"
BUILT_IN = ["command", "log", "save_attachments", "save_message", "webhook"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        return CliRunner().invoke(handlers, [str(argument) for argument in arguments])

    return run


def written(run, *arguments):
    result = run("new", *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_every_handler_with_what_it_does(run):
    result = run("list")
    assert result.exit_code == 0
    for name in BUILT_IN:
        assert name in result.output
    assert "Post a mail's metadata as JSON, signed as Standard Webhooks." in result.output


def test_the_list_is_json_for_scripts(run):
    rows = json.loads(run("list", "--json").output)
    assert [row["name"] for row in rows] == BUILT_IN
    assert rows[1]["class"] == "postroom.handlers.log:Log"
    assert rows[1]["package"].startswith("postroom ")
    assert rows[1]["problem"] is None


def test_a_broken_plug_in_is_listed_with_the_reason_beside_the_others(run, monkeypatch):
    registry = HandlerRegistry.of(
        [Registered("log", "postroom.handlers.log:Log"), Registered("odd", "no_such_module:Odd", "odd 1.0")]
    )
    monkeypatch.setattr(HandlerRegistry, "installed", lambda: registry)
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}
    assert rows["log"]["problem"] is None
    assert "no_such_module" in rows["odd"]["problem"]
    assert "no_such_module" in run("list").output


def test_show_explains_every_option(run):
    output = run("show", "save_attachments").output
    for option in ("directory", "pattern", "max_size", "too_large", "inline"):
        assert option in output
    assert "required" in output
    assert "150MB" in output
    assert "use: save_attachments" in output


def test_show_is_json_for_scripts(run):
    shown = json.loads(run("show", "webhook", "--json").output)
    assert shown["schema"]["required"] == ["url"]
    assert {option["name"]: option["required"] for option in shown["options"]}["url"] is True


def test_show_of_an_unknown_handler_suggests_the_near_one(run):
    result = run("show", "webhok")
    assert "did you mean 'webhook'?" in str(result.exception)


def test_show_takes_what_the_configuration_takes(run):
    written(run, "save_notes")
    output = run("show", "./handlers/save_notes.py:SaveNotes").output
    assert "Write a note about each mail" in output
    assert "handlers/save_notes.py:SaveNotes" in output
    assert "  save_notes:" in output
    assert "use: postroom.handlers.log:Log" not in output


def test_a_handler_without_options_says_so(run):
    Path("bare.py").write_text(
        "from postroom.plugin import Handler, Options\n"
        "class Bare(Handler[Options]):\n    '''Do it.'''\n    async def handle(self, message, context): ...\n"
    )
    assert "It has no options." in run("show", "./bare.py:Bare").output


def test_a_new_handler_can_be_pasted_into_a_configuration(run):
    output = written(run, "save_notes")
    config = yaml.safe_load(output[output.index("handlers:\n") :])
    use = config["handlers"]["save_notes"]["use"]
    handler = HandlerRegistry().load(use, Path.cwd())
    assert issubclass(handler, Handler)
    handler.options_type.model_validate(config["handlers"]["save_notes"]["with"])


def test_a_new_handler_goes_where_it_is_told(run, tmp_path):
    elsewhere = tmp_path / "else where"
    output = written(run, "save_notes", "--dir", elsewhere)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["save_notes.py", "test_save_notes.py"]
    config = yaml.safe_load(output[output.index("handlers:\n") :])
    assert config["handlers"]["save_notes"]["use"] == f"{elsewhere}/save_notes.py:SaveNotes"


@pytest.mark.parametrize("present", ["save_notes.py", "test_save_notes.py"])
def test_nothing_is_overwritten(run, present):
    Path("handlers").mkdir()
    Path("handlers", present).write_text("mine")
    result = run("new", "save_notes")
    assert result.exit_code == 1
    assert "is there already" in result.output
    assert [path.name for path in Path("handlers").iterdir()] == [present]
    assert Path("handlers", present).read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["", "Save", "1st", "../evil", "a-b", "a b", "class", "test_it", "json", "log", "pytest", "a" * 41, "_x", "é"],
)
def test_a_name_that_cannot_be_a_module_or_hides_one_is_refused(run, name, tmp_path):
    result = run("new", name)
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("a", "A"), ("save_notes", "SaveNotes"), ("to_s3", "ToS3"), ("a__b_", "AB")]
)
def test_the_class_is_named_after_the_handler(name, expected):
    assert class_name(name) == expected


@pytest.mark.parametrize("template", ["handler.py", "test_handler.py"])
def test_nothing_of_the_template_s_own_names_is_left(template):
    text = filled(template, "save_notes")
    assert "Example" not in text
    assert '"handler.py"' not in text
    compile(text, template, "exec")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_the_test_of_a_new_handler_passes(run, tmp_path, mode):
    written(run, "save_notes")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "daemon")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--import-mode={mode}", "handlers"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "10 passed" in ran.stdout


def test_the_test_of_a_new_handler_can_fail(run, tmp_path):
    written(run, "save_notes")
    file = tmp_path / "handlers" / "save_notes.py"
    file.write_text(file.read_text().replace("Done(note=saved.path.name)", "None"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "daemon")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "handlers"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1


def rows(info):
    """The rows of the reference for a handler's options."""
    for option in info.options:
        default = "required" if option.required else f"`{option.default}`" if option.default else ""
        yield f"| `{option.name}` | {option.type} | {default} | {option.description} |"


def test_the_reference_has_every_handler_with_every_option_as_the_code_has_it():
    text = REFERENCE.read_text()
    for name, handler in HandlerRegistry.installed().classes().items():
        info = describe(name, handler)
        section = text.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        assert section, f"{REFERENCE} has no section for {name}"
        assert info.description in section
        found = re.findall(r"^\| `.*\|$", section, re.MULTILINE)
        assert found[: len(info.options)] == list(rows(info))


def test_the_templates_are_where_the_command_looks():
    assert sorted(path.name for path in module.TEMPLATES.glob("*.py")) == [
        "__init__.py",
        "handler.py",
        "test_handler.py",
    ]


def test_the_reference_lists_every_placeholder_and_variable():
    text = REFERENCE.read_text()
    variables = metadata(make_message(), FakeContext())
    assert [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in text] == []
    assert [name for name in [*variables, *INHERITED] if f"`{name}`" not in text] == []


def test_the_reference_shows_every_field_a_webhook_sends():
    section = REFERENCE.read_text().partition("```json\n")[2].partition("```")[0]
    assert json.loads(section)["data"].keys() == payload.metadata(make_message(), FakeContext()).keys()


def test_a_file_without_its_class_is_told_the_class(run):
    written(run, "count_words")
    result = run("show", "./handlers/count_words.py")
    assert result.exit_code == 1
    assert "names a file and no class in it" in str(result.exception)
    assert "`./handlers/count_words.py:CountWords`" in str(result.exception)
    Path("empty.py").write_text("")
    assert "`class MyHandler(Handler[MyOptions])`" in str(run("show", "empty.py").exception)
    assert "cannot be read" in str(run("show", "./missing.py").exception)


@pytest.mark.parametrize(
    ("name", "why"), [("class", "a keyword of Python"), ("test_mails", "begins as tests do"), ("A b", "small letters")]
)
def test_a_name_that_no_handler_can_have_is_refused_with_the_reason(run, name, why):
    result = run("new", name)
    assert result.exit_code == 2
    assert why in result.output
