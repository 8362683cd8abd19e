"""Models whose settings are described by docstrings, read from the source when a schema is made, and only then.

pydantic's `use_attribute_docstrings` says the same, but reads and parses the source of each class when it is imported:
a start of the daemon, which makes no schema, would pay for it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Described(BaseModel):
    """Base of models that say in their JSON schema what stands below each setting."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe each setting by its docstring, unless it is described already."""
        schema = handler(core)
        settings = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in attribute_docstrings(cls).items():
            for shown in _names(cls, name) & settings.keys():
                settings[shown].setdefault("description", text)
        return schema


def _names(model: type[BaseModel], name: str) -> set[str]:
    """Return what a setting may be called in a schema: by its name, or by either of its aliases."""
    if (field := model.model_fields.get(name)) is None:
        return set()
    return {each for each in (name, field.alias, field.validation_alias) if isinstance(each, str)}


def attribute_docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what stands below each annotated attribute of a model, base classes included; nothing without source."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        found |= _own(each) if issubclass(each, BaseModel) and each is not BaseModel else {}
    return found


def _own(cls: type) -> dict[str, str]:
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}  # made without a file, or of a file that has changed since
    if not isinstance(definition, ast.ClassDef):
        return {}
    return {
        attribute.target.id: inspect.cleandoc(text.value.value)
        for attribute, text in pairwise(definition.body)
        if isinstance(attribute, ast.AnnAssign)
        and isinstance(attribute.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
