"""Reads the invitation in a meeting message, as far as Graph shows it (RFC 5545); nothing in here raises."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

MAX_LINES = 5000
_FOLD = re.compile(r"\r?\n[ \t]")
_STAMP = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?\Z", re.ASCII)


class Moment(NamedTuple):
    """A time as Graph writes it in a dateTimeTimeZone."""

    text: str
    zone: str


class Invitation(NamedTuple):
    """What a calendar part says.

    Attributes:
        answers: Participation of the first attendee, such as ``ACCEPTED``, in upper case.
    """

    start: Moment | None = None
    end: Moment | None = None
    location: str = ""
    all_day: bool = False
    answers: str = ""


def read_invitation(text: str) -> Invitation:
    """Read the first event of a calendar."""
    found: dict[str, tuple[str, str]] = {}
    inside = False
    for line in _FOLD.sub("", text).splitlines()[:MAX_LINES]:
        head, _, value = line.partition(":")
        name, _, parameters = head.partition(";")
        inside = inside or (name.upper(), value.strip().upper()) == ("BEGIN", "VEVENT")
        if inside:
            found.setdefault(name.strip().upper(), (parameters, value.strip()))
    start = found.get("DTSTART", ("", ""))
    attendee = re.search(r"PARTSTAT=\"?([A-Z-]+)", found.get("ATTENDEE", ("", ""))[0].upper())
    return Invitation(
        start=_moment(*start),
        end=_moment(*found.get("DTEND", start)),
        location=_unescaped(found.get("LOCATION", ("", ""))[1])[:255],
        all_day="VALUE=DATE" in start[0].upper().split(";") or len(start[1]) == len("20260301"),
        answers=attendee[1] if attendee else "",
    )


def _moment(parameters: str, value: str) -> Moment | None:
    match = _STAMP.match(value)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - zone apart
    except ValueError:
        return None
    zone = re.search(r"TZID=\"?([^;:\"]{1,100})", parameters, re.IGNORECASE)
    return Moment(moment.strftime("%Y-%m-%dT%H:%M:%S.0000000"), zone[1] if zone and not match[3] else "UTC")


def _unescaped(value: str) -> str:
    return re.sub(r"\\([\\;,nN])", lambda match: " " if match[1] in "nN" else match[1], value)
