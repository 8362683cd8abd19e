import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from postroom.errors import HandlerError
from postroom.handlers.log import Log
from postroom.plugin import Handler
from postroom.registry import HandlerRegistry, Registered

HANDLER = """\
from __future__ import annotations
from postroom.plugin import Done, Handler, Options

class MyOptions(Options):
    \"\"\"Mine.\"\"\"
    greeting: str = "{greeting}"
    \"\"\"What to say.\"\"\"

class Mine(Handler[MyOptions]):
    \"\"\"Mine.\"\"\"
    async def handle(self, message, context):
        return Done(note=self.options.greeting)
"""


@pytest.fixture
def registry():
    return HandlerRegistry.of([Registered("log", "postroom.handlers.log:Log", "postroom 1")])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "handlers" / "mine.py"
    path.parent.mkdir()
    path.write_text(HANDLER.format(greeting="hello"))
    return path


def refusal(registry, use, directory=Path("/nowhere")):
    with pytest.raises(HandlerError) as caught:
        registry.load(use, directory)
    assert caught.value.remedy
    return str(caught.value)


def test_every_built_in_handler_is_installed_under_its_name():
    registry = HandlerRegistry.installed()
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    ours = declared["project"]["entry-points"]["postroom.handlers"]
    assert {name: registry.registered[name].target for name in ours} == ours
    assert registry.names() == sorted(registry.names())
    classes, problems = registry.load_all()
    assert set(ours) <= set(classes)
    assert problems == {}


def test_listing_imports_nothing(tmp_path, monkeypatch):
    distribution = tmp_path / "trap-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text(
        "[postroom.handlers]\ntrap = trap_module:Trap\nlog = trap_module:Log\nodd = trap_module:Odd [extra]\nbad = :\n"
    )
    (tmp_path / "trap_module.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry = HandlerRegistry.installed()
    assert "trap_module" not in sys.modules
    assert registry.registered["trap"] == Registered("trap", "trap_module:Trap", "trap 1.0")
    assert registry.registered["odd"].target == "trap_module:Odd"
    assert registry.registered["log"].target == "postroom.handlers.log:Log"
    classes, problems = registry.load_all()
    assert "log" in classes
    assert set(problems) == {"trap", "odd", "bad"}
    assert "trap_module.py:1: AssertionError: imported" in str(problems["trap"])
    assert "trap 1.0" in str(problems["trap"])


def test_a_registered_name_gives_its_class(registry):
    assert registry.load("log", Path()) is Log
    assert dict(registry.classes()) == {"log": Log}


def test_a_dotted_path_gives_its_class(registry):
    assert registry.load("postroom.handlers.log:Log", Path()) is Log


def test_a_misspelt_name_is_answered_with_the_near_one(registry):
    text = refusal(registry, "logg")
    assert "did you mean 'log'?" in text


def test_an_empty_registry_says_so():
    assert "There are none" in refusal(HandlerRegistry(), "log")


@pytest.mark.parametrize("use", ["a.b:", ":C", "a.b:not a name", "a.b:C.D"])
def test_what_names_no_class_is_refused(registry, use):
    assert "does not name a handler class" in refusal(registry, use)


def test_a_missing_module_is_named(registry):
    text = refusal(registry, "no_such_package.module:Class")
    assert "needs the module 'no_such_package'" in text
    assert "Install" in text


def test_a_missing_class_is_answered_with_those_there_are(registry):
    assert "It has Log." in refusal(registry, "postroom.handlers.log:Lag")


@pytest.mark.parametrize(
    "use", ["postroom.errors:HandlerError", "postroom.plugin:Handler", "postroom.errors:annotations"]
)
def test_only_a_handler_will_do(registry, use):
    assert "is not a handler" in refusal(registry, use)


def test_a_file_is_found_from_the_configuration_file_on(registry, file, tmp_path):
    found = registry.load("./handlers/mine.py:Mine", tmp_path)
    assert issubclass(found, Handler)
    assert found.options_type().greeting == "hello"


def test_an_absolute_file_needs_no_directory(registry, file):
    assert registry.load(f"{file}:Mine", Path("/nowhere")).__name__ == "Mine"


def test_the_same_file_is_the_same_class(registry, file, tmp_path):
    assert registry.load("handlers/mine.py:Mine", tmp_path) is registry.load(f"{file}:Mine", tmp_path)


def test_a_changed_file_is_a_new_class(registry, file, tmp_path):
    before = registry.load(f"{file}:Mine", tmp_path)
    file.write_text(HANDLER.format(greeting="world"))
    after = registry.load(f"{file}:Mine", tmp_path)
    assert (before.options_type().greeting, after.options_type().greeting) == ("hello", "world")


def test_two_files_of_one_name_are_two_modules(registry, tmp_path):
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "mine.py").write_text(HANDLER.format(greeting="same"))
    one, other = (registry.load(f"{name}/mine.py:Mine", tmp_path) for name in ("a", "b"))
    assert one is not other


def test_loading_a_file_leaves_no_trace_beside_it(registry, file, tmp_path):
    path = list(sys.path)
    registry.load(f"{file}:Mine", tmp_path)
    assert sys.path == path
    assert [each.name for each in file.parent.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("x = 1\n1 / 0\n", 2, "ZeroDivisionError"),
        ("def broken(:\n    pass\n", 1, "SyntaxError"),
        ("\n\nraise SystemExit(3)\n", 3, "SystemExit: 3"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
        ("\nimport no_such_module_here\n", 2, "needs the module 'no_such_module_here'"),
        ("from postroom.plugin import Nothing\n", 1, "ImportError"),
    ],
)
def test_a_file_that_cannot_be_imported_is_explained_with_its_line(registry, tmp_path, source, line, what):
    (tmp_path / "broken.py").write_text(source)
    text = refusal(registry, "./broken.py:Mine", tmp_path)
    assert what in text
    assert f"{tmp_path}/broken.py:{line}" in text


def test_a_mended_file_loads(registry, tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0\n")
    refusal(registry, "./mine.py:Mine", tmp_path)
    (tmp_path / "mine.py").write_text(HANDLER.format(greeting="mended"))
    assert registry.load("./mine.py:Mine", tmp_path).options_type().greeting == "mended"


def test_a_file_of_bytes_that_are_no_text_is_explained(registry, tmp_path):
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe\x00")
    assert "SyntaxError" in refusal(registry, "./mine.py:Mine", tmp_path)


def test_a_missing_file_is_named_with_where_paths_start(registry, tmp_path):
    text = refusal(registry, "./mine.py:Mine", tmp_path)
    assert str(tmp_path / "mine.py") in text
    assert "configuration file" in text


def test_a_class_without_handle_is_refused(registry, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from postroom.plugin import Handler, Options\nclass Mine(Handler[Options]):\n    '''Mine.'''\n"
    )
    assert "has no `handle` method" in refusal(registry, "./mine.py:Mine", tmp_path)
