"""A mailbox takes its share of a handler's places and leaves the others some, and is limited nowhere else."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.pipeline.desk import Desk
from postroom.pipeline.shares import PART, Shares, more
from postroom.ports import MailboxLimit
from postroom.rule import Rule
from support.pipeline import ALWAYS, ScriptedMail, opened

PLACES = st.integers(1, 400)


def taken(places, *others):
    """Return how many a mailbox holds that takes all it may beside what others hold, however few at a time."""
    held, free = 0, places - sum(others)
    while more(held, free):
        held, free = held + 1, free - 1
    return held


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (10, 7), (100, 75)])
def test_alone_it_takes_three_quarters_and_never_all_of_several(places, most):
    assert taken(places) == most


def test_beside_others_that_hold_much_it_takes_less_and_who_has_none_gets_the_last_one():
    assert taken(8, 6) == 1
    assert taken(8, 6, 1) == 1
    assert taken(8, 4, 4) == 0


@given(PLACES, st.data())
def test_what_it_takes_at_once_it_may_take_one_by_one_and_whoever_holds_some_leaves_some(free, data):
    held = data.draw(st.integers(0, 400))
    together = more(held, free)
    assert 0 <= together <= free
    if held:
        assert together == 0 or held + together <= PART * (free - together)
    for number in range(together):
        assert more(held + number, free - number) > 0


@given(PLACES, st.lists(st.integers(0, 5), min_size=1, max_size=300))
def test_whoever_takes_in_whatever_order_no_mailbox_that_holds_some_takes_the_last_place(free, order):
    held: Counter[int] = Counter()
    for mailbox in order:
        count = more(held[mailbox], free)
        assert count < free or not held[mailbox] or not free
        held[mailbox] += count
        free -= count


def rules(*handlers):
    return {"all": Rule("all", ALWAYS, handlers)}


def desk(*handlers, **used):
    """Return a desk of these handlers; `used` says which of them each mailbox's rules name."""
    mails = {name: ScriptedMail(name) for name in used}
    return Desk(
        {each.name: each for each in handlers}, mails, {name: rules(*names) for name, names in used.items()}, None
    )


def shares(**held):
    return Shares(lambda: {handler: Counter(mailboxes) for handler, mailboxes in held.items()})


def nobody_asks():
    raise AssertionError("there is nothing to limit")


def test_the_only_mailbox_may_take_everything():
    lone = desk(opened("erp"), a=["erp"])
    offer = Shares(nobody_asks).offer(lone, {"erp": 10}, 100, 0)
    assert (offer.room, offer.limits, offer.squeezed) == ({"erp": 10}, {}, False)
    assert Shares(nobody_asks).of_mailbox(lone, "a", {"erp": 10}) == {"erp": 10}


def test_a_handler_that_one_mailbox_alone_uses_is_all_its_own():
    each = desk(opened("erp"), opened("log"), a=["erp"], b=["log"])
    offer = Shares(nobody_asks).offer(each, {"erp": 10, "log": 10}, 100, 0)
    assert (offer.room, offer.limits) == ({"erp": 10, "log": 10}, {})
    assert Shares(nobody_asks).of_mailbox(each, "a", {"erp": 10}) == {"erp": 10}


def test_where_several_use_it_each_may_take_its_share_and_who_has_it_no_more():
    both = desk(opened("erp"), opened("log"), a=["erp", "log"], b=["erp"])
    offer = shares(erp={"a": 6}).offer(both, {"erp": 4, "log": 10}, 100, 0)
    assert offer.room == {"erp": 4, "log": 10}
    assert offer.limits == {"erp": MailboxLimit(3, {"a": 1})}
    full = shares(erp={"a": 6, "b": 1})
    assert full.offer(both, {"erp": 2}, 100, 0).limits == {"erp": MailboxLimit(1, {"a": 0, "b": 1})}
    assert full.of_mailbox(both, "a", {"erp": 2, "log": 10}) == {"erp": 0, "log": 10}
    assert full.of_mailbox(both, "b", {"erp": 2}) == {"erp": 1}


def test_what_no_rule_names_is_everybodys():
    both = desk(opened("erp"), opened("internal"), a=["erp"], b=[])
    assert shares().offer(both, {"erp": 10, "internal": 4}, 100, 0).limits == {"internal": MailboxLimit(3, {})}


def test_with_few_places_in_all_no_mailbox_takes_all_of_them_by_way_of_several_handlers():
    both = desk(opened("erp"), opened("log"), a=["erp", "log"], b=["erp", "log"])
    both.concurrency = 8
    held = {"erp": Counter(), "log": Counter()}
    few = Shares(lambda: held)
    for turn in range(6):
        free = {name: 10 - held[name].total() for name in held}
        offer = few.offer(both, free, 8 - sum(each.total() for each in held.values()), turn)
        for name, room in offer.room.items():
            held[name]["a"] += min(room, offer.limits[name].of("a"))
    assert sum(each.total() for each in held.values()) < 8
    free = {name: 10 - held[name].total() for name in held}
    offer = few.offer(both, free, 8 - sum(each.total() for each in held.values()), 7)
    assert sum(min(room, offer.limits[name].of("b")) for name, room in offer.room.items()) > 0


def test_another_configuration_says_anew_who_uses_what():
    one = shares()
    assert not one.offer(desk(opened("erp"), a=["erp"], b=[]), {"erp": 10}, 100, 0).limits
    assert one.offer(desk(opened("erp"), a=["erp"], b=["erp"]), {"erp": 10}, 100, 0).limits
