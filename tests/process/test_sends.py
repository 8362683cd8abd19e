"""The daemon is killed while it sends, once at every failure point on the way: each recipient gets exactly one mail."""

from __future__ import annotations

import pytest

from crash.sends import Desk, points


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_each_recipient_gets_exactly_one_mail_however_often_the_daemon_is_killed_while_it_sends(tmp_path):
    (tmp_path / "tenant").mkdir()
    outcome = await Desk(tmp_path, seed=1, lost_answers=0.0).run(points(), mails=3)
    assert outcome.verdict() == []
    assert outcome.sent.total() == outcome.wanted.total() > 60
    assert set(outcome.kills) == set(points()), "each point was come to"
