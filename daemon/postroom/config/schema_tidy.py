"""Make pydantic's JSON schema one that editors show well and that knows variables. Pure functions."""

from __future__ import annotations

import re
from typing import Any

Schema = dict[str, Any]

VARIABLE: Schema = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    "description": "A text with a variable of the environment, `${NAME}` or `${NAME:-default}`.",
}
_REFERENCE: Schema = {"$ref": "#/$defs/variable"}
_ANNOTATIONS = ("description", "default", "examples")
_DATA = ("default", "const", "enum", "examples", "required")
_FREE_FORMATS = ("path", "file-path", "directory-path", "password")
_RESTRICTIONS = ("pattern", "enum", "const")


def readable(schema: Any) -> Any:
    """Drop the titles pydantic makes of names, and the line breaks of docstrings."""
    if isinstance(schema, list):
        return [readable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value if key in _DATA else _unwrapped(value) if key == "description" else readable(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _unwrapped(text: Any) -> Any:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text) if isinstance(text, str) else readable(text)


def without_null(schema: Any) -> Any:
    """Drop null as a choice and as a default: in our own sections a key with nothing behind it is a slip."""
    if isinstance(schema, list):
        return [without_null(each) for each in schema if each != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: without_null(value) for key, value in schema.items() if not _empty_default(key, value)}
    choices = tidy.get("anyOf")
    if choices is not None and len(choices) == 1:
        del tidy["anyOf"]
        return {**choices[0], **tidy}
    return tidy


def _empty_default(key: str, value: Any) -> bool:
    return key == "default" and (value in (None, [], "") or isinstance(value, dict))


def with_variables(schema: Any, definitions: Schema) -> Any:
    """Allow a text with a variable wherever a setting takes anything but free text."""
    if isinstance(schema, list):
        return [with_variables(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = dict(schema)
    for key, value in schema.items():
        if key == "properties":
            changed[key] = {name: _setting(each, definitions) for name, each in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            changed[key] = _setting(value, definitions)
        elif key in ("anyOf", "allOf"):
            changed[key] = with_variables(value, definitions)
    return changed


def _setting(schema: Schema, definitions: Schema) -> Schema:
    tidy: Schema = with_variables(schema, definitions)
    notes = {key: value for key, value in tidy.items() if key in _ANNOTATIONS}
    core = {key: value for key, value in tidy.items() if key not in _ANNOTATIONS}
    choices = core["anyOf"] if set(core) == {"anyOf"} else [core] if core else []
    if any(_restricted(each, definitions) for each in choices) and not any(map(_free, choices)):
        choices = [*choices, _REFERENCE]
    if len(choices) == 1 and ("$ref" not in choices[0] or not notes):
        return {**choices[0], **notes}
    # Beside a $ref, draft 7 takes no other keyword for serious.
    return {("allOf" if len(choices) == 1 else "anyOf"): choices, **notes} if choices else tidy


def _restricted(schema: Schema, definitions: Schema) -> bool:
    if "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {})
    return schema.get("type") in ("integer", "number", "boolean") or _formed(schema)


def _formed(schema: Schema) -> bool:
    return any(key in schema for key in _RESTRICTIONS) or schema.get("format", "path") not in _FREE_FORMATS


def _free(schema: Schema) -> bool:
    return schema.get("type") == "string" and not _formed(schema)
