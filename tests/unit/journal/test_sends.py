"""What is known of a mail on its way outlives a clock that is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from postroom.ports import SendPlan, SendRecord, Windows


@pytest.mark.parametrize(("state", "forgotten"), [("reserved", 1), ("drafted", 0), ("sent", 1)])
async def test_a_draft_that_may_be_on_its_way_is_not_forgotten_however_late_it_seems_to_be(
    journal, now, state, forgotten
):
    record = await journal.reserve_send(
        SendPlan("key", "a@contoso.example"), Windows(now, now, now), lambda _: None, now
    )
    assert isinstance(record, SendRecord)
    await journal.note_send(replace(record, state=state, draft_id="AAkDraft", tried_at=now))
    assert await journal.forget_sends(now + timedelta(days=1), 9) == forgotten
