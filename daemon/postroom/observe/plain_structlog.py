"""structlog as a log needs it that renders no tracebacks: without rich.

Where rich is installed, structlog loads it to show tracebacks, of which our lines have none: 30 ms of each start, and
5 MiB for good. There is no setting for it, so rich counts as missing while structlog is imported.
"""

from __future__ import annotations

import sys

_MISSING = "rich" not in sys.modules
if _MISSING:
    sys.modules["rich"] = None  # type: ignore[assignment]  # how the import system is told that there is no such module
try:
    import structlog
    from structlog.contextvars import merge_contextvars
    from structlog.typing import FilteringBoundLogger
finally:
    if _MISSING:
        del sys.modules["rich"]

__all__ = ["FilteringBoundLogger", "merge_contextvars", "structlog"]
