"""Newsletters and mailing lists, told by their List- headers (RFC 2369, RFC 2919, RFC 8058)."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import DemoMail, Desk

COUNT = 22


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the newsletters, half of them bulk mail with one-click unsubscribe."""
    for index in range(COUNT):
        subject = f"[tools] Issue {100 + index}: what is new"
        message = desk.letter("support", ("Toolbox weekly", "news@newsletter.example"), subject)
        message["List-Id"] = "Toolbox weekly <tools.newsletter.example>"
        message["List-Unsubscribe"] = f"<https://newsletter.example/leave/{desk.word()}>"
        if index % 2 == 0:
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            message["Precedence"] = "bulk"
        message.set_content("Ten tools you did not know.\n" * 20)
        message.make_alternative(boundary=f"=_{desk.word()}")
        message.add_alternative("<h1>Ten tools</h1>" + "<p>You did not know this one.</p>" * 60, subtype="html")
        yield desk.post("support", message, "newsletter")
