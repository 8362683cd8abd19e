"""What can be told of a handler class without running it: for `postroom handlers` and for the reference."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ByteSize, SecretStr
from pydantic.fields import FieldInfo

from postroom.plugin import Handler

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
    "null": "nothing",
}


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One option. `default` is how the configuration would say it, empty for required ones."""

    name: str
    type: str
    required: bool
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class HandlerInfo:
    """A handler class: its place, its one-line description, and its options."""

    name: str
    place: str
    description: str
    options: tuple[OptionInfo, ...]
    schema: Mapping[str, Any]


def describe(name: str, handler: type[Handler[Any]]) -> HandlerInfo:
    """Read the class and its options."""
    schema = handler.options_type.model_json_schema()
    options = tuple(
        _option(field.alias or key, field, schema) for key, field in handler.options_type.model_fields.items()
    )
    return HandlerInfo(name, _place(handler), first_line(handler), options, schema)


def _option(name: str, field: FieldInfo, schema: Mapping[str, Any]) -> OptionInfo:
    own = schema["properties"].get(name, {})
    return OptionInfo(
        name=name,
        type=_type(field, own, schema.get("$defs", {})),
        required=field.is_required(),
        default=_default(field),
        description=own.get("description", "").replace("\n", " "),
    )


def _place(handler: type[Handler[Any]]) -> str:
    """Say where the class is, as `use:` would; a local file's module name means nothing to anybody."""
    module = handler.__module__
    if module.startswith("postroom_file_"):
        module = sys.modules[module].__file__ or module
    return f"{module}:{handler.__qualname__}"


def first_line(handler: type[Handler[Any]]) -> str:
    """Return the first line of the class's own docstring: its description."""
    return inspect.cleandoc(vars(handler).get("__doc__") or "").partition("\n")[0]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, ByteSize):
        return value.human_readable(decimal=True).replace(".0", "")
    if isinstance(value, SecretStr):
        return "a secret"
    if isinstance(value, set | frozenset):
        value = sorted(value)
    return "" if value is None else json.dumps(value, default=str)


def _type(field: FieldInfo, schema: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    """Say in words what may stand there."""
    return "size" if field.annotation is ByteSize else _words(schema, shared)


def _words(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        schema = shared[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        choices = [_words(each, shared) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(choices))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if schema.get("format") in {"path", "uri"}:
        return {"path": "path", "uri": "URL"}[schema["format"]]
    if schema.get("type") == "array":
        return f"list of {_words(schema.get('items', {}), shared)}"
    return _TYPES.get(schema.get("type", ""), "anything")
