"""The order in which folders are walked, and who waits for a place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from postroom.pipeline.agenda import FIRST_SPREAD, Agenda
from postroom.pipeline.due import Watch
from postroom.pipeline.lanes import Lanes


def watch(name, mailbox="a@contoso.example", tenant=""):
    folder = SimpleNamespace(mailbox=mailbox, name=name)
    return Watch(SimpleNamespace(folder=folder, subject=f"mailbox {mailbox}/{name}"), 30.0, tenant)


def names(dues):
    return [due.watch.poller.folder.name for due in dues]


@pytest.fixture
def agenda():
    return Agenda(Lanes(brisk=2, slow=1))


def test_first_rounds_come_shortly_one_after_the_other(agenda):
    agenda.replace([watch("Inbox"), watch("Bills")], now=100.0)
    assert names(agenda.take(100.0)) == ["Inbox"]
    assert names(agenda.take(100.0 + FIRST_SPREAD)) == ["Bills"]


def test_what_was_taken_comes_again_only_when_it_is_planned(agenda):
    agenda.replace([watch("Inbox")], now=0.0)
    [due] = agenda.take(9.0)
    assert names(agenda.take(99.0)) == []
    agenda.again(due, 130.0)
    assert names(agenda.take(129.0)) == []
    assert names(agenda.take(130.0)) == ["Inbox"]


def test_a_mailbox_that_returns_has_its_folders_due_as_if_none_had_failed(agenda):
    agenda.replace([watch("Inbox"), watch("Bills"), watch("Other", mailbox="b@contoso.example")], now=0.0)
    for due in list(agenda.take(1.0)):
        due.failures, due.slow = 3, True
        agenda.again(due, 600.0)
    agenda.hasten("a@contoso.example", 10.0)
    back = list(agenda.take(10.0))
    assert sorted(names(back)) == ["Bills", "Inbox"]
    assert {(due.failures, due.slow) for due in back} == {(0, False)}


def test_who_finds_no_place_waits_and_keeps_its_turn(agenda):
    agenda.replace([watch(name, mailbox=f"{name}@contoso.example") for name in "abcd"], now=0.0)
    for due in agenda.take(1.0):
        agenda.wait(due)
    admitted = agenda.admit()
    assert names(due for due, _ in admitted) == ["a", "b"]
    assert agenda.is_waiting("mailbox c@contoso.example/c")
    assert agenda.admit() == []
    agenda._lanes.leave(admitted[0][1])
    assert names(due for due, _ in agenda.admit()) == ["c"]


def test_slow_ones_wait_for_places_of_their_own(agenda):
    agenda.replace([watch(name, mailbox=f"{name}@contoso.example") for name in "abcd"], now=0.0)
    for due in agenda.take(1.0):
        due.slow = True
        agenda.wait(due)
    assert names(due for due, _ in agenda.admit()) == ["a"]


def test_nothing_is_left_of_folders_that_are_not_watched_any_more(agenda):
    agenda.replace([watch("Inbox"), watch("Bills")], now=0.0)
    agenda.wait(next(agenda.take(1.0)))
    agenda.replace([], now=1.0)
    assert not agenda.has_waiting
    assert agenda.mailboxes() == set()
    assert names(agenda.take(99.0)) == []
