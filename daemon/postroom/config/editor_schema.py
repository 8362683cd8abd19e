"""The JSON schema of a configuration file, for editors: completion, explanation and checks while typing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from postroom.config.schema_tidy import VARIABLE, Schema, readable, with_variables, without_null
from postroom.config.sections import File
from postroom.config.tenant_sections import CREDENTIALS
from postroom.plugin import Handler, Options

_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The one the YAML language server understands best."""


def json_schema(handlers: Mapping[str, type[Handler[Any]]]) -> dict[str, Any]:
    """Return the schema of the file, with the options of each of these handlers (name in `use` -> class)."""
    schema = without_null(File.model_json_schema())
    definitions: Schema = schema.pop("$defs")
    definitions["CredentialSection"]["oneOf"] = [{"required": [name]} for name in CREDENTIALS]
    for name, cls in sorted(handlers.items()):
        definitions |= _options(name, cls)
    _tell_handlers_apart(definitions["HandlerSection"], handlers, definitions)
    definitions = readable(dict(sorted(definitions.items())))
    parts = {name: with_variables(each, definitions) for name, each in definitions.items()}
    whole = with_variables(readable(schema), definitions)
    return {"$schema": _DIALECT, "title": "Postroom", **whole, "$defs": {**parts, "variable": VARIABLE}}


def summary(cls: type[Handler[Any]]) -> str:
    """Return the first line of the class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _options(name: str, cls: type[Handler[Any]]) -> Schema:
    """Return the definitions that a handler's options need; any mapping where pydantic cannot tell their schema."""
    try:
        schema = cls.options_type.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        schema = {"type": "object"}
    if cls.options_type is Options:
        del schema["description"]
    inner = schema.pop("$defs", {})
    return {f"{name}.{model}": each for model, each in inner.items()} | {f"with.{name}": schema}


def _tell_handlers_apart(
    section: Schema, handlers: Mapping[str, type[Handler[Any]]], definitions: Mapping[str, Schema]
) -> None:
    """Let `use` decide what `with` may hold; classes by path or file stay open."""
    names = [{"const": name, "description": summary(cls)} for name, cls in sorted(handlers.items())]
    path = {"type": "string", "pattern": ":", "description": "`package.module:Class`, or `./file.py:Class`."}
    use = section["properties"]["use"]
    section["properties"]["use"] = {"description": use["description"], "anyOf": [*names, path]}
    section["allOf"] = [_when_used(name, definitions[f"with.{name}"]) for name in sorted(handlers)]


def _when_used(name: str, options: Schema) -> Schema:
    then: Schema = {"properties": {"with": {"$ref": f"#/$defs/with.{name}"}}}
    if options.get("required"):
        then["required"] = ["with"]
    return {"if": {"properties": {"use": {"const": name}}, "required": ["use"]}, "then": then}
