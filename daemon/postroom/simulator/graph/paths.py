"""Reads the path of a Graph URL in any of its dialects.

``users/a@b/mailFolders/inbox``, ``users('a@b')/mailFolders('inbox')``, ``mailFolders(id='inbox')``, doubled slashes,
any case, and functions as ``delta``, ``delta()`` or ``microsoft.graph.delta`` all come out as one shape, such as
``users/*/mailfolders/*/messages/delta``, by which operations are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_KEYED = re.compile(r"([A-Za-z]+)\((?:[A-Za-z]+=)?(?:'(.*)'|([^'()]+))\)\Z", re.DOTALL)
_COLLECTIONS = frozenset({"users", "mailfolders", "childfolders", "messages", "attachments", "subscriptions"})
_FUNCTIONS = frozenset({"delta", "$count", "$value", "createuploadsession"})
_NESTED = ["mailfolders", "*", "childfolders", "*"]


@dataclass(frozen=True, slots=True)
class Path:
    """A path as its shape and the keys in it, by collection."""

    shape: str
    keys: Mapping[str, str]


@lru_cache(maxsize=4096)
def read_path(raw: str) -> Path:
    """Read a percent-encoded path whose first segment is the version."""
    shape: list[str] = []
    keys: dict[str, str] = {}
    for segment in [unquote(one) for one in raw.split("/") if one][1:]:
        name = segment.lower().removeprefix("microsoft.graph.").removesuffix("()")
        collection = shape[-1] if shape else ""
        keyed = _KEYED.match(segment)
        if collection in _COLLECTIONS and name not in _FUNCTIONS:
            keys[collection] = segment
            shape.append("*")
        elif keyed and keyed[1].lower() in _COLLECTIONS:
            shape += [keyed[1].lower(), "*"]
            keys[shape[-2]] = keyed[3] or (keyed[2] or "").replace("''", "'")
        else:
            shape.append(name)
        if shape[-4:] == _NESTED:
            del shape[-2:]
            keys["mailfolders"] = keys.pop("childfolders")
    return Path("/".join(shape), keys)
