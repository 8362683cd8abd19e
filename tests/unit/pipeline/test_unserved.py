"""Deliveries whose handler is gone do not wait in silence."""

from __future__ import annotations

import pytest

from postroom.errors import JournalError
from postroom.pipeline.unserved import ABSENT_WAIT, UnservedWatch
from support.pipeline import deliver, desk, opened


@pytest.fixture
def watch(journal, clock, notes):
    """A look at a desk with these handlers, which may be changed."""

    def make(*handlers):
        present = desk(*map(opened, handlers))
        return UnservedWatch(journal=journal, clock=clock, report=notes, desk=lambda: present), present

    return make


async def test_a_handler_that_is_gone_is_a_problem_with_its_number_until_it_is_back(
    watch, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp", "archive", count=3)
    look, present = watch("archive")

    await look.look()
    await look.look()
    present.handlers = {each: opened(each) for each in ("archive", "erp")}
    await look.look()

    [(subject, error), _] = notes.problems
    assert (subject, notes.well) == ("unserved erp", ["unserved erp"])
    assert str(error).startswith("3 deliveries wait for the handler erp, which the configuration does not have. Put it")


async def test_the_problem_is_over_when_an_operator_gave_the_deliveries_up(watch, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp")
    look, _ = watch("archive")
    await look.look()
    [delivery] = await journal.real.database.read(lambda c: c.exec_driver_sql("SELECT id FROM deliveries").all())
    await journal.real.database.write(
        lambda c: c.exec_driver_sql(f"UPDATE deliveries SET state = 'discarded' WHERE id = {delivery.id}") and None
    )
    await look.look()
    assert notes.well == ["unserved erp"]
    assert "1 delivery waits" in str(notes.problems[0][1])


async def test_a_mailbox_that_is_gone_is_a_problem_while_work_for_it_waits(watch, journal, clock, notes):
    look, present = watch("archive")
    present.absent["sales@contoso.example"] = clock.monotonic()
    await look.look()
    [(subject, error)] = notes.problems
    assert (subject, notes.well) == ("unserved sales@contoso.example", [])
    assert "Work waits for the mailbox sales@contoso.example, which the configuration does not have" in str(error)

    await clock.advance(3 * ABSENT_WAIT)
    await look.look()
    assert notes.well == ["unserved sales@contoso.example"]


async def test_a_journal_that_fails_is_the_problem_then(watch, journal, notes):
    look, _ = watch()
    journal.failures["unserved"].append(JournalError("The disk is full."))
    await look.look()
    await look.look()
    assert [subject for subject, _ in notes.problems] == ["journal"]
