"""What stands below a setting in the source is its description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, create_model

from postroom.docstrings import Described, attribute_docstrings


class Base(Described):
    """A model."""

    inherited: int = 1
    """Comes
    first."""


class Derived(Base):
    """A model made of another."""

    bare: int = 2
    with_: Annotated[int, Field(alias="with")] = 3
    """Has another name."""
    said: Annotated[int, Field(description="Says so itself.")] = 4
    """Is for who reads the source."""


def test_inherited_settings_keep_theirs():
    assert attribute_docstrings(Derived) == {
        "inherited": "Comes\nfirst.",
        "with_": "Has another name.",
        "said": "Is for who reads the source.",
    }


def test_a_schema_describes_each_setting_by_its_docstring_under_its_own_name():
    described = {name: each.get("description") for name, each in Derived.model_json_schema()["properties"].items()}
    assert described == {
        "inherited": "Comes\nfirst.",
        "bare": None,
        "with": "Has another name.",
        "said": "Says so itself.",
    }


def test_without_source_nothing_is_described():
    assert attribute_docstrings(create_model("Made", setting=(int, 1))) == {}


class Aliased(Described):
    """A model whose settings are called otherwise in a file."""

    read: int = Field(default=1, validation_alias="READ")
    """Only when it is read."""
    both: int = Field(default=1, alias="BOTH")
    """In both directions."""


def test_a_setting_with_an_alias_is_described_under_the_name_that_a_schema_gives_it():
    for by_alias in (True, False):
        described = [each["description"] for each in Aliased.model_json_schema(by_alias)["properties"].values()]
        assert described == ["Only when it is read.", "In both directions."]


def test_a_class_that_no_file_holds_has_a_schema_all_the_same():
    names = {"Described": Described, "__name__": "nowhere"}
    exec("class C(Described):\n    a: int = 1\n    'Text.'", names)
    assert attribute_docstrings(names["C"]) == {}
    assert "a" in names["C"].model_json_schema()["properties"]
