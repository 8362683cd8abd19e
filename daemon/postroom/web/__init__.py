"""The console: health, metrics and a status page over HTTP. Reads what it is given; changes nothing."""

from postroom.web.console import build_console, serve

__all__ = ["build_console", "serve"]
