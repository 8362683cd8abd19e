"""What somebody should look at though all works."""

from __future__ import annotations

from postroom.observe.health import Health
from postroom.observe.notices import MOST, REMEMBERED, Withheld

WHY = "this correspondent was answered 4 times within 1 h, as many as `sending` allows (`per_correspondent`)"


def test_withheld_answers_are_told_of_for_each_mailbox_with_the_limit_and_what_to_do(clock):
    withheld = Withheld(clock)
    for mailbox in ("a@b.example", "a@b.example", "c@d.example"):
        withheld.note(mailbox, WHY)
    first, second = withheld.notices()
    assert first["what"] == f"2 answers of a@b.example were withheld in the last hour, the last because {WHY}"
    assert second["what"] == f"1 answer of c@d.example was withheld in the last hour because {WHY}"
    assert (first["count"], second["count"]) == (2, 1)
    assert "postroom messages list" in first["what_to_do"]


def test_withheld_answers_are_told_of_for_an_hour(clock):
    withheld = Withheld(clock)
    withheld.note("a@b.example", WHY)
    clock.seconds += REMEMBERED / 2
    withheld.note("a@b.example", WHY)
    clock.seconds += REMEMBERED / 2
    assert [each["count"] for each in withheld.notices()] == [1]
    clock.seconds += REMEMBERED
    assert withheld.notices() == []


def test_a_stranger_who_writes_very_often_fills_no_memory(clock):
    withheld = Withheld(clock)
    for _ in range(MOST + 1):
        withheld.note("a@b.example", WHY)
    assert [each["count"] for each in withheld.notices()] == [MOST]


def test_withheld_answers_leave_the_status_as_it_is(clock):
    health = Health(clock)
    health.withheld.note("a@b.example", WHY)
    assert health.snapshot()["status"] == "ok"
    assert len(health.snapshot()["notices"]) == 1
