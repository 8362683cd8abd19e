"""Every room has its place in the order of imports: what stands in no layer could import anything."""

from __future__ import annotations

import pkgutil
import tomllib
from pathlib import Path

import postroom

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ABOVE_ALL = {"__main__", "testing"}
"""The way in, and the kit for authors of handlers, which the daemon may not import."""


def test_each_module_at_the_top_of_the_package_stands_in_one_layer():
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    placed = [name.removeprefix("postroom.") for layer in layers for name in layer.split(" | ")]
    assert sorted(placed) == sorted({each.name for each in pkgutil.iter_modules(postroom.__path__)} - ABOVE_ALL)
