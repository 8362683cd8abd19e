from pathlib import Path
from typing import Generic, TypeVar

import pytest
from pydantic import SecretStr, ValidationError

from postroom import plugin
from postroom.plugin import Done, Handler, Options
from postroom.testing import make_attachment


class Knobs(Options):
    """Options of the handlers here."""

    directory: Path
    """Where."""

    secret: SecretStr = SecretStr("")
    """What nobody may see."""


OptionsT = TypeVar("OptionsT", bound=Options)


class Base(Handler[OptionsT], Generic[OptionsT]):
    """A base of one's own."""

    async def handle(self, message, context):
        return Done()


class Direct(Handler[Knobs]):
    """A handler."""

    async def handle(self, message, context):
        return Done()


class Derived(Base[Knobs]):
    """A handler by way of a generic base."""


class Inheriting(Direct):
    """A handler that keeps its parent's options."""


class Bare(Handler[Options]):
    """A handler without options."""

    def handle(self, message, context):
        return Done()


@pytest.mark.parametrize("handler", [Direct, Derived, Inheriting])
def test_a_handler_knows_its_options_class(handler):
    assert handler.options_type is Knobs


def test_a_handler_without_options_has_the_empty_ones():
    assert Bare.options_type is Options


def test_a_handler_without_handle_cannot_be_made():
    class Lazy(Handler[Options]):
        """Does nothing."""

    with pytest.raises(TypeError, match="handle"):
        Lazy(Options())


def test_options_are_frozen():
    options = Knobs(directory=Path("x"))
    with pytest.raises(ValidationError, match="frozen"):
        options.directory = Path("y")


def test_unknown_options_are_errors():
    with pytest.raises(ValidationError, match="directroy"):
        Knobs.model_validate({"directory": "x", "directroy": "y"})


def test_a_wrong_option_does_not_show_what_was_given():
    with pytest.raises(ValidationError) as caught:
        Knobs.model_validate({"directory": 5, "secret": ["whsec_hidden"]})
    assert "whsec_hidden" not in str(caught.value)


def test_the_docstring_under_an_option_is_its_description():
    assert Knobs.model_json_schema()["properties"]["directory"]["description"] == "Where."


async def test_the_life_cycle_has_harmless_defaults():
    handler = Bare(Options())
    await handler.open()
    await handler.close()
    assert handler.secrets() == {}
    assert handler.missing() == {}


async def test_an_attachment_is_read_in_pieces_or_whole():
    file = make_attachment("a.bin", b"x" * 40_000)
    assert len([piece async for piece in file.stream()]) > 1
    assert await file.read() == b"x" * 40_000


async def test_an_attachment_is_saved_under_a_safe_name(tmp_path):
    path = await make_attachment("../a.txt", b"x").save_to(tmp_path)
    assert path == tmp_path / "_a.txt"
    assert await make_attachment("../a.txt", b"x").save_to(tmp_path, name="b.txt") == tmp_path / "b.txt"


def test_an_attachment_is_a_file_unless_said_otherwise():
    assert make_attachment().kind == "file"
    assert plugin.Attachment("1", "n", "t", 1, False, make_attachment().source).kind == "file"


def test_everything_promised_is_there():
    assert sorted(plugin.__all__) == plugin.__all__
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []
