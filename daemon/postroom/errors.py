"""Every error Postroom raises on purpose.

::

    PostroomError
    ├── ConfigError              the configuration has problems            exit 78
    ├── AuthError                Entra refused, or could not be reached    exit 77
    ├── GraphError               Graph answered with an error, or not      exit 69
    │   ├── Throttled            429: wait, then go on
    │   ├── Unavailable          5xx, time-outs, network faults: temporary
    │   ├── Forbidden            401, 403: permission, scope, licence
    │   ├── QuotaExceeded        403 ErrorQuotaExceeded: the mailbox is full, delta cannot run
    │   ├── NotFound             404: message, folder or mailbox
    │   ├── ResyncRequired       410, SyncState*: the delta link is dead, list again
    │   ├── Conflict             409, 412: somebody else wrote first
    │   └── Refused              any other 4xx: our request is wrong
    ├── JournalError             the journal cannot be used                exit 74
    │   ├── JournalLocked        another daemon holds it                   exit 75
    │   └── JournalGone          its file is not where it was opened       exit 74
    ├── RuleError                a rule cannot be evaluated for this mail
    └── HandlerError             a handler could not do its work
        └── TemporaryError       ... now, but may later

Each carries what happened, what to do (`remedy`), whether waiting may help (`temporary`), and `fields` for the log.
Adapters translate foreign exceptions at their border, with `from`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class ExitCode(enum.IntEnum):
    """How the process ends; the numbers above 63 are those of sysexits.h."""

    OK = 0
    FAILED = 1
    """The command ran and its answer is no: a check failed, a message is unaccounted for."""
    USAGE = 2
    UNAVAILABLE = 69
    """Graph or the login host could not be reached."""
    INTERNAL = 70
    """A defect in Postroom."""
    JOURNAL = 74
    LOCKED = 75
    """Another daemon holds the journal."""
    SIGN_IN = 77
    CONFIG = 78


class PostroomError(Exception):
    """What happened, and what to do about it.

    Args:
        message: One sentence: what happened and where.
        remedy: One sentence: what the operator can do; empty when there is nothing to do.
        fields: Key-value pairs for the log; never a secret, a token or a body.
    """

    exit_code: ExitCode = ExitCode.FAILED
    temporary: bool = False

    def __init__(self, message: str, *, remedy: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fields: Mapping[str, Any] = {key: value for key, value in fields.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration file.

    Attributes:
        id: Stable name such as ``PR012``; the docs explain each.
        severity: ``error`` (refuses to start) or ``warning``.
        path: Dotted path in the file, such as ``mailboxes.0.rules.1.handle.0``.
        text: What is wrong, with a suggestion where there is one.
    """

    id: str
    severity: str
    path: str
    text: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        mild = " (warning)" if self.severity == "warning" else ""
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{where}{self.path + ': ' if self.path else ''}{self.text} [{self.id}]{mild}"


MEND = "Mend what is named with file and line; `postroom check` says it all without starting anything."


class ConfigError(PostroomError):
    """The configuration cannot be used; `problems` lists everything that is wrong with it."""

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: Sequence[Problem], *, remedy: str = MEND) -> None:
        self.problems = tuple(problems)
        count = sum(problem.severity == "error" for problem in self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the configuration.", remedy=remedy)


class AuthError(PostroomError):
    """Sign-in failed.

    Attributes:
        code: ``AADSTS7000215`` and the like, or the OAuth error name, or ``unreachable``.
        trace_id: Microsoft's trace id, to quote in a support case.
    """

    exit_code = ExitCode.SIGN_IN

    def __init__(
        self, message: str, *, code: str, remedy: str = "", temporary: bool = False, trace_id: str = "", **fields: Any
    ) -> None:
        super().__init__(message, remedy=remedy, code=code, trace_id=trace_id or None, **fields)
        self.code = code
        self.temporary = temporary
        self.trace_id = trace_id


class GraphError(PostroomError):
    """Graph answered with an error, or did not answer.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        code: Graph's error code, such as ``ErrorItemNotFound``; branch on this, never on the text.
        inner_code: The innermost known code, where Graph nests them; else empty.
        request_id: Graph's ``request-id``, to quote in a support case.
        retry_after: Seconds Graph asked us to wait, where it did.
        parks: Why the whole mailbox cannot be used, as in ``it is being moved``; empty when it is no matter of that.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = "",
        inner_code: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        remedy: str = "",
        parks: str = "",
        **fields: Any,
    ) -> None:
        super().__init__(
            message, remedy=remedy, status=status or None, code=code or None, request_id=request_id or None, **fields
        )
        self.status = status
        self.code = code
        self.inner_code = inner_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.parks = parks


class Throttled(GraphError):
    """429: the mailbox's or the app's budget is used up."""

    temporary = True


class Unavailable(GraphError):
    """5xx, a time-out, a broken connection or an answer that is not Graph's."""

    temporary = True


class Forbidden(GraphError):
    """401 or 403: a permission, a scope or a licence is missing."""


class QuotaExceeded(GraphError):
    """403 ErrorQuotaExceeded: delta keeps its state in the mailbox, and the mailbox is full."""


class NotFound(GraphError):
    """404: the message, the folder or the mailbox does not exist (any more)."""


class ResyncRequired(GraphError):
    """410 or a SyncState code: the delta link is dead and the folder must be listed again."""


class Conflict(GraphError):
    """409 or 412: a concurrent write won; read again, then retry."""

    temporary = True


class Refused(GraphError):
    """Any other 4xx: the request itself is wrong."""


class JournalError(PostroomError):
    """The journal cannot be read or written."""

    exit_code = ExitCode.JOURNAL


class JournalLocked(JournalError):
    """Another daemon holds this journal."""

    exit_code = ExitCode.LOCKED


class JournalGone(JournalError):
    """The journal's file was removed or replaced while it was open: what is written to it then is lost."""


class RuleError(PostroomError):
    """A rule cannot be evaluated for a mail: its pattern takes too long."""


class HandlerError(PostroomError):
    """A handler could not do its work and says why; raised by handlers or on their behalf."""


class TemporaryError(HandlerError):
    """A handler could not do its work now, but may later."""

    temporary = True
