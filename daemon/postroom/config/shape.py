"""The second pass: the tree against a pydantic model, with all its problems, going on with what is sound.

A part that is wrong is reported, cut out, and the rest is tried again, so that one mistake hides no other: what comes
back is the largest part of the file that has the right shape, and the checks of the third pass work on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic_core import ErrorDetails

from postroom.config.nodes import Node, plain, replaced, resolve
from postroom.config.problems import Findings, Path, Place, closest
from postroom.config.wording import describe

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Shaped(Generic[ModelT]):
    """A model with the tree it was made of, so that a setting's place can be found by its way in the model."""

    model: ModelT
    tree: Node

    def node(self, *location: str | int) -> Node:
        """Return the node at this way through the model, or the last one before it."""
        return resolve(self.tree, location)[0]


@dataclass(frozen=True, slots=True)
class _Fault:
    """An error of pydantic's with the node it is in and the path it is about."""

    error: ErrorDetails
    node: Node
    path: Path
    place: Place

    @property
    def cut(self) -> Path:
        """What to take out to be rid of it: the wrong part, or all around a missing one."""
        return self.node.path


def shape(model: type[ModelT], tree: Node, findings: Findings) -> Shaped[ModelT] | None:
    """Validate, with problems to `findings`; None comes back when nothing sound is left."""
    rest: Node | None = tree
    while rest is not None:
        try:
            return Shaped(model.model_validate(plain(rest)), rest)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        faults = [_fault(rest, each) for each in details]
        _report(model, faults, rest, findings)
        rest = replaced(rest, {fault.cut: None for fault in faults})
    return None


def _fault(tree: Node, error: ErrorDetails) -> _Fault:
    node, beyond = resolve(tree, error["loc"])
    if error["type"] == "missing":
        path = (*node.path, error["loc"][-1])
        return _Fault(error, node, path, replace(node.key_place, path=path))
    at_key = error["type"] == "extra_forbidden" or beyond[-1:] == ("[key]",)
    return _Fault(error, node, node.path, node.key_place if at_key else node.place)


def _report(model: type[BaseModel], faults: Sequence[_Fault], tree: Node, findings: Findings) -> None:
    """Report what is no echo: a missing setting is one when a neighbour's name is a slip for its own."""
    known: dict[Path, tuple[str, ...]] = {}
    for fault in faults:
        if fault.error["type"] == "extra_forbidden":
            around = fault.error["loc"][:-1]
            known[fault.path] = known_settings(model, around)
            meant = closest(str(fault.path[-1]), known[fault.path])
            if meant is not None and resolve(tree, around)[0].child(meant) is None:
                findings.mark((*fault.path[:-1], meant))
    for fault in faults:
        if not findings.touched(fault.path):
            name = str(fault.path[-1]) if fault.path else ""
            id_, text = describe(fault.error, fault.node, name, known.get(fault.path, ()))
            findings.add(id_, fault.place, text)


def known_settings(model: type[BaseModel], location: Path) -> tuple[str, ...]:
    """Return the names of the settings that exist at a place, by the model's JSON schema."""
    schema = _schema(model)
    here = _alternatives(schema, schema)
    for part in location:
        here = [found for each in here for found in _below(each, part, schema)] or here
    return tuple(dict.fromkeys(name for each in here for name in each.get("properties", {})))


@lru_cache(maxsize=4)
def _schema(model: type[BaseModel]) -> Mapping[str, Any]:
    """Return the model's JSON schema; an empty one for options of types that no schema can tell."""
    try:
        return model.model_json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return {}


def _below(schema: Mapping[str, Any], part: str | int, root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    child = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
    if child is None and isinstance(part, str):
        child = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
    return _alternatives(child, root) if isinstance(child, Mapping) else []


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Follow references and choices to the plain schemas behind them."""
    if "$ref" in schema:
        return _alternatives(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return [schema, *(found for choice in choices for found in _alternatives(choice, root))]
