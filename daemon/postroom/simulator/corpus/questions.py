"""Questions from people: plain and HTML, threads, emoji, an inline picture, no subject at all."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.corpus.desk import PEOPLE, DemoMail, Desk

_SUBJECTS = (
    "Where is my parcel?",
    "🎉 Thank you! 🎉",
    "Re: Re: Fwd: your offer",
    "",
    "URGENT!!! Please call back",
    "👩‍👩‍👧‍👦 family plan, price?",
    "Password reset",
    "AW: WG: Rückfrage zur Lieferung",
    "💶 refund 💶",
    "a" * 900,
    "Complaint about order 7003",
    "Feature request: dark mode 🌙",
)
COUNT = 28
# A transparent PNG of one pixel.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e366"
    "0000000049454e44ae426082"
)


def mails(desk: Desk) -> Iterator[DemoMail]:
    """Yield the questions; each second has HTML beside the text, each seventh a picture in it."""
    for index in range(COUNT):
        subject = _SUBJECTS[index % len(_SUBJECTS)]
        message = desk.letter(
            "support", PEOPLE[index % len(PEOPLE)], subject, "Hello,\n\nplease see above.\n\nThanks\n"
        )
        if index % 5 == 0:
            message["In-Reply-To"] = message["References"] = f"<{desk.word()}@contoso.example>"
        if index % 2 == 0:
            message.make_alternative(boundary=f"=_{desk.word()}")
            message.add_alternative("<p>Hello,</p><p>please see <b>above</b>.</p>", subtype="html")
        if index % 7 == 0:
            desk.mixed(message)
            message.add_attachment(
                _PIXEL, maintype="image", subtype="png", filename="logo.png", disposition="inline", cid="<logo@mail>"
            )
        yield desk.post("support", message, "question")
