"""The problems a configuration can have: their stable ids, their severity, and the list they are gathered in."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable
from dataclasses import dataclass

from postroom.errors import Problem

Path = tuple[str | int, ...]
"""Where a setting stands in the file: keys and indices from the top."""


class Id(enum.StrEnum):
    """Every problem `check` can report; `docs/reference/problems.md` explains each. An id is never used again."""

    FILE_UNREADABLE = "PR001"
    NOT_YAML = "PR002"
    DUPLICATE_KEY = "PR003"
    TOO_LARGE = "PR004"
    UNSUPPORTED_YAML = "PR005"
    VARIABLE_NOT_SET = "PR006"
    BAD_VARIABLE = "PR007"

    UNKNOWN_SETTING = "PR010"
    MISSING_SETTING = "PR011"
    WRONG_KIND = "PR012"
    NOT_A_CHOICE = "PR013"
    OUT_OF_RANGE = "PR014"
    BAD_DURATION = "PR015"
    BAD_SIZE = "PR016"
    BAD_PATTERN = "PR017"
    BAD_ADDRESS = "PR018"
    BAD_URL = "PR019"
    BAD_LISTEN = "PR020"
    BAD_FOLDER = "PR021"
    BAD_START = "PR022"
    BAD_NAME = "PR023"
    BAD_VALUE = "PR024"
    EMPTY_RANGE = "PR025"
    BAD_JOURNAL = "PR026"
    OPEN_CONSOLE = "PR027"
    NO_JOURNAL_DIRECTORY = "PR028"
    NO_JOURNAL_DRIVER = "PR029"

    TENANT_OR_TENANTS = "PR030"
    UNKNOWN_TENANT = "PR031"
    UNUSED_TENANT = "PR032"
    ONE_CREDENTIAL = "PR033"
    STRAY_CREDENTIAL_SETTING = "PR034"
    WRONG_SCOPE = "PR035"
    UNKNOWN_AUTHORITY = "PR036"
    FILE_MISSING = "PR037"
    SECRET_EXPOSED = "PR038"  # noqa: S105 - the name of a problem
    BAD_ID = "PR039"

    UNKNOWN_HANDLER_CLASS = "PR040"
    UNKNOWN_HANDLER = "PR041"
    UNUSED_HANDLER = "PR042"
    HANDLER_NEEDS_OPTIONS = "PR043"
    HANDLER_REFUSED = "PR044"
    HANDLER_TWICE = "PR045"
    BAD_RETRY = "PR046"
    MISSING_HERE = "PR047"
    HANDLER_NOT_OPENED = "PR048"

    DUPLICATE_MAILBOX = "PR050"
    DUPLICATE_FOLDER = "PR051"
    DUPLICATE_RULE = "PR052"
    POLL_TOO_FAST = "PR053"
    POLL_OVER_BUDGET = "PR054"
    MOVE_AND_DELETE = "PR055"
    UNREACHABLE_RULE = "PR056"
    IDLE_RULE = "PR057"
    NEVER_FAILS = "PR058"
    NO_RULES = "PR059"
    NEVER_MATCHES = "PR060"
    WHOLE_SUBJECT = "PR061"
    FRESHNESS_TOO_SHORT = "PR062"
    FORWARD_LOOP = "PR063"

    SIGN_IN_REFUSED = "PR070"
    UNREACHABLE = "PR071"
    FOLDER_NOT_READ = "PR072"
    MISSING_PERMISSION = "PR073"


WARNINGS = frozenset(
    {
        Id.OPEN_CONSOLE,
        Id.NO_JOURNAL_DIRECTORY,
        Id.UNUSED_TENANT,
        Id.SECRET_EXPOSED,
        Id.UNUSED_HANDLER,
        Id.HANDLER_TWICE,
        Id.MISSING_HERE,
        Id.UNREACHABLE_RULE,
        Id.IDLE_RULE,
        Id.NEVER_FAILS,
        Id.NO_RULES,
        Id.NEVER_MATCHES,
        Id.WHOLE_SUBJECT,
        Id.FORWARD_LOOP,
        Id.MISSING_PERMISSION,
    }
)
"""Problems the daemon starts with; all others are errors."""


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in the file; line and column count from 1, and line 0 is the file as a whole."""

    path: Path = ()
    line: int = 0
    column: int = 0


class Findings:
    """The problems found so far in one file, and which parts of it are known to be wrong."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: dict[Problem, None] = {}
        self._wrong: set[Path] = set()

    def add(self, id_: Id, place: Place, text: str) -> None:
        """Note a problem; the same one twice counts once."""
        severity = "warning" if id_ in WARNINGS else "error"
        path = ".".join(str(part) for part in place.path)
        problem = Problem(id_.value, severity, path, text, self._file, place.line, place.column)
        self._problems[problem] = None
        if severity == "error":
            self.mark(place.path)

    def mark(self, path: Path) -> None:
        """Note that `path` is wrong by a problem that is reported elsewhere."""
        self._wrong.update(path[:length] for length in range(len(path) + 1))

    def touched(self, path: Path) -> bool:
        """Say whether `path` or something below it is wrong, so that a judgement on it would only be an echo."""
        return path in self._wrong

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return () in self._wrong

    def listed(self) -> tuple[Problem, ...]:
        """Return the problems in the order of the file."""
        return tuple(sorted(self._problems, key=lambda problem: (problem.line, problem.column, problem.id)))


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most probably means."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return `` (did you mean x?)``, or the known words when none is close, or `otherwise` when there are none."""
    names = sorted(set(known))
    if (guess := closest(word, names)) is not None:
        return f" (did you mean {guess}?)"
    return f" (known here: {', '.join(names)})" if names else otherwise
