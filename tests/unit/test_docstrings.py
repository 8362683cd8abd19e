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
