"""Handlers: from their sections to classes with validated options."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from postroom.config.files import check_file
from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id, Place, suggestion
from postroom.config.sections import File, HandlerSection
from postroom.config.settings import ConfiguredHandler
from postroom.config.shape import Shaped, shape
from postroom.config.wording import without_values
from postroom.errors import PostroomError
from postroom.model import BreakerPolicy, RetryPolicy
from postroom.plugin import Handler, Options

Lookup = Callable[[str, Path], type[Handler[Any]]]
"""From what `use` says, and the directory of the file, to the class; raises PostroomError when there is none."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What making handlers needs: how classes are found, which names are installed, and where the file is."""

    lookup: Lookup
    names: Collection[str]
    directory: Path
    findings: Findings


def make_handlers(shaped: Shaped[File], shop: Workshop) -> dict[str, ConfiguredHandler]:
    """Return the handlers declared in the file that are sound; problems of the others are reported."""
    made = {}
    for name, section in shaped.model.handlers.items():
        handler = _declared(name, section, shaped.node("handlers", name), shop)
        if handler is not None:
            made[name] = handler
    return made


def make_undeclared(name: str, place: Place, shop: Workshop) -> ConfiguredHandler | None:
    """Return the installed handler of this name as rules may use it without declaring it: with no options."""
    quiet = Findings("")
    section = HandlerSection(use=name)
    handler = _declared(name, section, Node((), 1, 1, {}), replace(shop, findings=quiet))
    if handler is None:
        text = f"the handler {name} needs options; declare it: `handlers: {{{name}: {{use: {name}, with: ...}}}}`"
        shop.findings.add(Id.HANDLER_NEEDS_OPTIONS, place, text)
        return None
    return replace(handler, place=place)


def _declared(name: str, section: HandlerSection, node: Node, shop: Workshop) -> ConfiguredHandler | None:
    _check_waits(section, node, shop.findings)
    if not section.use:
        if not shop.findings.touched((*node.path, "use")):
            text = f"is missing; add `use: ...` with one of {', '.join(sorted(shop.names)) or 'the installed handlers'}"
            shop.findings.add(Id.MISSING_SETTING, replace(node.key_place, path=(*node.path, "use")), text)
        return None
    cls = _class(section.use, node.child("use") or node, shop)
    options = _options(cls, node, shop) if cls is not None else None
    if cls is None or options is None:
        return None
    retry = RetryPolicy(section.retry.attempts, section.retry.first, section.retry.longest)
    place = (node.child("with") or node).place
    return ConfiguredHandler(
        name, section.use, cls, options, retry, section.timeout, section.concurrency, _breaker(section), place
    )


def _breaker(section: HandlerSection) -> BreakerPolicy | None:
    breaker = section.breaker
    return BreakerPolicy(breaker.after, breaker.probe, breaker.longest) if breaker is not None else None


def _check_waits(section: HandlerSection, node: Node, findings: Findings) -> None:
    breaker = section.breaker
    waits = {"retry": (section.retry.first, section.retry.longest, "first")}
    if breaker is not None:
        waits["breaker"] = (breaker.probe, breaker.longest, "probe")
    for setting, (first, longest, name) in waits.items():
        at = node.child(setting) or node
        if first > longest and not findings.touched(at.path):
            text = f"the first wait is longer than the longest; raise longest or lower {name}"
            findings.add(Id.BAD_RETRY, at.place, text)


def _class(use: str, node: Node, shop: Workshop) -> type[Handler[Any]] | None:
    try:
        return shop.lookup(use, shop.directory)
    except PostroomError as error:
        if use.isidentifier() and use not in shop.names:
            guess = suggestion(use, shop.names, "; none is installed")
            text = f"there is no handler {use}{guess}; use an installed one, package.module:Class or ./file.py:Class"
        else:
            text = str(error).rstrip(".")
        shop.findings.add(Id.UNKNOWN_HANDLER_CLASS, node.place, without_values(text, node))
        return None


def _options(cls: type[Handler[Any]], node: Node, shop: Workshop) -> Options | None:
    """Validate the options by the handler's own class, and make an instance to see whether it takes them."""
    given = node.child("with") or replace(node, path=(*node.path, "with"), content=None)
    tree = replace(given, content={}) if given.content is None else given
    try:
        shaped = shape(cls.options_type, tree, shop.findings)
        if shaped is None or shop.findings.touched(tree.path):
            return None
        options = relative_to(shaped.model, shop.directory)
        handler = cls(options)
        secrets, missing = handler.secrets(), handler.missing()
    except Exception as error:  # noqa: BLE001 - a stranger's class may raise anything, and it is reported
        text = without_values(f"the handler refuses these options: {type(error).__name__}: {error}; correct them", tree)
        shop.findings.add(Id.HANDLER_REFUSED, tree.place, text)
        return None
    for setting, path in secrets.items():
        check_file(path, tree.child(setting) or tree, shop.findings, secret=True)
    for setting, what in missing.items():
        text = without_values(f"{what} on this machine; `postroom run` needs it", tree)
        shop.findings.add(Id.MISSING_HERE, (tree.child(setting) or tree).place, text)
    return options if not shop.findings.touched(tree.path) else None


def relative_to(value: Any, directory: Path) -> Any:
    """Return the options with every relative path in them taken from `directory`."""
    if isinstance(value, Path):
        return directory / value
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: relative_to(each, directory) for name, each in fields.items()}
        return value.model_copy(update={name: each for name, each in changed.items() if each != fields[name]})
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(relative_to(each, directory) for each in value)
    if type(value) is dict:
        return {key: relative_to(each, directory) for key, each in value.items()}
    return value
