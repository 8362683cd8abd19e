"""The configuration: one YAML file, checked as a whole, to frozen settings."""

from postroom.config.editor_schema import json_schema
from postroom.config.handlers import Lookup
from postroom.config.load import load, parse
from postroom.config.parts import Names, load_console, load_journal, load_names, load_rules
from postroom.config.rules import is_nameless
from postroom.config.settings import Config, ConfiguredHandler, Limits, Listen, LogSettings, WatchedMailbox

__all__ = [
    "Config",
    "ConfiguredHandler",
    "Limits",
    "Listen",
    "LogSettings",
    "Lookup",
    "Names",
    "WatchedMailbox",
    "is_nameless",
    "json_schema",
    "load",
    "load_console",
    "load_journal",
    "load_names",
    "load_rules",
    "parse",
]
