"""Attachments whose names are attacks or accidents; a handler that saves them must survive each."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import PEOPLE, DemoMail, Desk

HOSTILE = (
    "../../etc/passwd",
    "..\\..\\windows\\system.ini",
    "/etc/cron.d/job",
    "CON",
    "nul.txt",
    "invoice\u202efdp.exe",
    f"{'n' * 300}.pdf",
    "日" * 120 + ".pdf",
    ".bashrc",
    "trailing dot.",
    "name with\ttab.txt",
    "zero\u200bwidth.txt",
    "-rf",
    "$(reboot).txt",
    "C:\\Users\\x\\report.pdf",
    "~root",
)
"""Names a stranger may send."""


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield a mail for each hostile name, one whose files share a name, and one whose file has none."""
    for index, name in enumerate(HOSTILE):
        message = desk.letter("support", PEOPLE[index % len(PEOPLE)], f"A file named {index}", "See attachment.\n")
        desk.attach(message, f"content {index}\r\n".encode(), "application/octet-stream", name)
        yield desk.post("support", message, "file-name")
    yield _same_names(desk)
    message = desk.mixed(desk.letter("support", PEOPLE[0], "A file without a name", "See attachment.\n"))
    message.add_attachment(b"nameless\r\n", maintype="application", subtype="octet-stream")
    yield desk.post("support", message, "file-name")


def _same_names(desk: Desk) -> DemoMail:
    message = desk.letter("invoices", PEOPLE[1], "Three scans", "The scanner calls every file the same.\n")
    for page in (b"page 1\r\n", b"page 2\r\n", b"page 1\r\n"):
        desk.attach(message, page, "application/octet-stream", "scan.pdf")
    return desk.post("invoices", message, "file-name")
