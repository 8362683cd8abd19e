"""Find handler classes: by entry-point name, by dotted path, or in a local file. A registry is a value."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from postroom.errors import HandlerError, PostroomError
from postroom.plugin import Handler

GROUP = "postroom.handlers"
"""The entry-point group that packages register their handlers in."""

_MACHINERY = (__file__, importlib.__file__)

HandlerClass = type[Handler[Any]]


@dataclass(frozen=True, slots=True)
class Registered:
    """A handler that a package registers. `target` is ``package.module:Class``, `package` its name and version."""

    name: str
    target: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class HandlerRegistry:
    """The handlers known by name. Making one and listing it imports nothing."""

    registered: Mapping[str, Registered] = field(default_factory=dict)

    @classmethod
    def of(cls, handlers: Iterable[Registered]) -> HandlerRegistry:
        """Make a registry; of several with one name the first counts."""
        found: dict[str, Registered] = {}
        for handler in handlers:
            found.setdefault(handler.name, handler)
        return cls(dict(sorted(found.items())))

    @classmethod
    def installed(cls) -> HandlerRegistry:
        """Return the registry of all installed packages; a built-in handler cannot be replaced by name."""
        package = cache(_package)  # most handlers are of one, and its metadata is a mail to be parsed
        handlers = [
            Registered(point.name, _target(point), package(point.dist))
            for point in importlib.metadata.entry_points(group=GROUP)
        ]
        return cls.of(sorted(handlers, key=_built_in_first))

    def names(self) -> list[str]:
        """Return the registered names in alphabetical order."""
        return list(self.registered)

    def load(self, use: str, directory: Path) -> HandlerClass:
        """Return the class that `use` names in the configuration.

        Args:
            use: A registered name, ``package.module:Class``, or ``./handlers/file.py:Class``.
            directory: Where a relative file starts from: the directory of the configuration file.

        Raises:
            HandlerError: There is no such handler, or it cannot be imported; it says where and what to do.
        """
        place, colon, attribute = use.rpartition(":")
        if not colon and (use.endswith(".py") or "/" in use):
            raise _classless(use, _module_of_file(directory / Path(use).expanduser()))
        if not colon:
            return self._registered(use)
        if not place or not attribute.isidentifier():
            raise HandlerError(
                f"{use!r} does not name a handler class.",
                remedy="Write a name of `postroom handlers list`, `package.module:Class` or `./file.py:Class`.",
            )
        if place.endswith(".py") or "/" in place:
            return _class_of(_module_of_file(directory / Path(place).expanduser()), attribute, use)
        return _class_of(_module_of_name(place, use), attribute, use)

    def classes(self) -> Mapping[str, HandlerClass]:
        """Import and return every registered handler that can be imported."""
        return self.load_all()[0]

    def load_all(self) -> tuple[Mapping[str, HandlerClass], Mapping[str, PostroomError]]:
        """Import every registered handler; also say why some cannot be, for one's mistake is not another's."""
        classes: dict[str, HandlerClass] = {}
        problems: dict[str, PostroomError] = {}
        for name in self.registered:
            try:
                classes[name] = self._registered(name)
            except PostroomError as error:
                problems[name] = error
        return classes, problems

    def _registered(self, name: str) -> HandlerClass:
        handler = self.registered.get(name)
        if handler is None:
            near = difflib.get_close_matches(name, self.registered, n=1)
            raise HandlerError(
                f"There is no handler named {name!r}{f' (did you mean {near[0]!r}?)' if near else ''}.",
                remedy=f"There are {', '.join(self.registered) or 'none'}; a class is named as `package.module:Class`"
                " or `./file.py:Class`.",
            )
        module, _, attribute = handler.target.partition(":")
        origin = f"{name} (of {handler.package or handler.target})"
        return _class_of(_module_of_name(module, origin), attribute, origin)


def _target(point: importlib.metadata.EntryPoint) -> str:
    """Return ``module:Class`` without extras; a malformed one must not break the listing."""
    return point.value.partition("[")[0].strip()


def _package(installed: importlib.metadata.Distribution | None) -> str:
    """Return name and version."""
    if installed is None:
        return ""
    metadata = installed.metadata
    return f"{metadata['Name']} {metadata['Version']}"


def _built_in_first(handler: Registered) -> tuple[bool, str]:
    return not handler.target.startswith("postroom."), handler.package


def _class_of(module: ModuleType, attribute: str, use: str) -> HandlerClass:
    where = module.__file__ or module.__name__
    found = getattr(module, attribute, None)
    if found is None:
        others = _handlers_in(module)
        raise HandlerError(
            f"Handler {use}: {where} has no class {attribute!r}.",
            remedy=f"It has {', '.join(others)}." if others else f"Define it: `class {attribute}(Handler[MyOptions])`.",
        )
    if not _is_handler(found):
        raise HandlerError(
            f"Handler {use}: {attribute!r} in {where} is not a handler.",
            remedy="Make it a subclass of `postroom.plugin.Handler`.",
        )
    if inspect.isabstract(found):
        raise HandlerError(
            f"Handler {use}: {attribute!r} in {where} has no `handle` method.",
            remedy="Add `async def handle(self, message, context)` to it.",
        )
    handler: HandlerClass = found
    return handler


def _classless(use: str, module: ModuleType) -> HandlerError:
    """Say which classes a file has that was named without one."""
    meant = " or ".join(f"`{use}:{name}`" for name in _handlers_in(module))
    return HandlerError(
        f"{use!r} names a file and no class in it.",
        remedy=f"Write {meant}."
        if meant
        else f"Define one in it, `class MyHandler(Handler[MyOptions])`, and write `{use}:MyHandler`.",
    )


def _handlers_in(module: ModuleType) -> list[str]:
    return [name for name, each in vars(module).items() if _is_handler(each)]


def _is_handler(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, Handler) and found is not Handler


def _module_of_name(name: str, use: str) -> ModuleType:
    with _explained(use, "Install the package that holds it into Postroom's Python environment, or mend the name."):
        return importlib.import_module(name)


def _module_of_file(path: Path) -> ModuleType:
    """Import a file under a name of its own, made of its path and content: a changed file is a new module.

    Its directory is not searched for further modules.
    """
    name = f"postroom_file_{_digest(path)}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _explained(
            str(path), "Install it into Postroom's Python environment; files beside a handler cannot be imported."
        ):
            loader.exec_module(module)
    except HandlerError:
        del sys.modules[name]
        raise
    return module


def _digest(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HandlerError(
            f"The handler file {path} cannot be read: {error.strerror}.",
            remedy="A relative path starts at the directory of the configuration file.",
        ) from error
    return hashlib.sha256(str(path.resolve()).encode() + b"\0" + content).hexdigest()[:16]


class _FreshLoader(SourceFileLoader):
    """Compiles the file as it is now and leaves no bytecode beside it."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Decline: without a time stamp there is nothing to cache by."""
        raise OSError(path)


@contextmanager
def _explained(use: str, missing: str) -> Iterator[None]:
    """Turn whatever a stranger's module raises while it is imported into a HandlerError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise HandlerError(
            f"Handler {use} needs the module {error.name!r}, which is not there{_where(error, use, ' (', ')')}.",
            remedy=missing,
        ) from error
    except (Exception, SystemExit) as error:
        raise HandlerError(
            f"Handler {use} cannot be imported: {_where(error, use, after=': ')}"
            f"{type(error).__name__}: {str(error)[:200]}.",
            remedy="Mend that line, then run `postroom check`.",
        ) from error


def _where(error: BaseException, file: str, before: str = "", after: str = "") -> str:
    """Name the line of `file` that raised it, or the last one known; import machinery is left out."""
    if isinstance(error, SyntaxError):
        return f"{before}{error.filename}:{error.lineno}{after}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    known = [frame for frame in frames if frame.filename not in _MACHINERY and not frame.filename.startswith("<")]
    return next((f"{before}{frame.filename}:{frame.lineno}{after}" for frame in reversed(own or known)), "")
