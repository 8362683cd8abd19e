"""The nouns: frozen, and few words of their own."""

from __future__ import annotations

import dataclasses

import pytest

from postroom import model
from postroom.model import Address, Delivery, DeliveryState, Done, RetryPolicy
from postroom.testing import make_message


def test_an_address_shows_as_in_a_mail():
    assert str(Address("Ada", "ada@b.c")) == "Ada <ada@b.c>"
    assert str(Address("", "ada@b.c")) == "ada@b.c"


def test_the_idempotency_key_is_the_same_for_every_attempt_and_for_no_other_delivery():
    message = make_message(id="AA=", mailbox="a@b.c")

    def key(handler="erp", attempt=1, which=message):
        return Delivery(1, 2, which, handler, "rule", attempt).idempotency_key

    assert key(attempt=1) == key(attempt=9) == "a@b.c/AA=/erp"
    assert len({key(), key("log"), key(which=make_message(id="aa=", mailbox="a@b.c"))}) == 3


@pytest.mark.parametrize("noun", [each for each in vars(model).values() if dataclasses.is_dataclass(each)])
def test_a_noun_cannot_be_changed(noun):
    assert noun.__dataclass_params__.frozen
    assert not hasattr(noun, "__dict__") or "__slots__" in vars(noun)


def test_states_are_the_words_the_journal_stores():
    assert [state.value for state in DeliveryState] == ["ready", "running", "done", "dead", "discarded"]
    assert f"{DeliveryState.DEAD}" == "dead"


def test_the_default_policy_outlasts_half_an_hour_of_outage():
    policy = RetryPolicy()

    assert sum(min(policy.first * 2**attempt, policy.longest) for attempt in range(policy.attempts - 1)) > 1800


def test_returning_done_asks_for_nothing():
    assert Done() == Done(note="", actions=())
