"""What the pipeline needs from outside, as protocols. Adapters: `graph` (Mail), `journal` (Journal), `app` (Clock)."""

from postroom.ports.basics import LOCAL_BUDGET, LONGEST_RETRY_AFTER, Clock, Report, Token
from postroom.ports.journal import Journal
from postroom.ports.mail import Detail, Draft, Drafts, Entry, FileInfo, Mail, Page, SurveyPage
from postroom.ports.sending import Busy, Refusal, SendPlan, SendRecord, Traffic, Windows
from postroom.ports.work import (
    ActionRequest,
    ActionResult,
    ActionTask,
    Conclude,
    FolderSpec,
    Forgettable,
    HeldHandler,
    MatchedRule,
    NewMessage,
    PageCommit,
    PageResult,
    Pruned,
    Siblings,
    WatchedFolder,
)

__all__ = [
    "LOCAL_BUDGET",
    "LONGEST_RETRY_AFTER",
    "ActionRequest",
    "ActionResult",
    "ActionTask",
    "Busy",
    "Clock",
    "Conclude",
    "Detail",
    "Draft",
    "Drafts",
    "Entry",
    "FileInfo",
    "FolderSpec",
    "Forgettable",
    "HeldHandler",
    "Journal",
    "Mail",
    "MatchedRule",
    "NewMessage",
    "Page",
    "PageCommit",
    "PageResult",
    "Pruned",
    "Refusal",
    "Report",
    "SendPlan",
    "SendRecord",
    "Siblings",
    "SurveyPage",
    "Token",
    "Traffic",
    "WatchedFolder",
    "Windows",
]
