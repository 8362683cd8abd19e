"""Places for rounds: nobody's are taken by another tenant, nor by those of his own who are slow."""

from __future__ import annotations

from postroom.pipeline.lanes import Lanes


def test_each_tenant_has_places_of_its_own():
    lanes = Lanes(brisk=2, slow=1)
    assert [bool(lanes.enter("one", f"{n}@one", slow=False)) for n in range(3)] == [True, True, False]
    assert lanes.enter("two", "a@two", slow=False)


def test_the_slow_take_none_of_the_places_for_the_others():
    lanes = Lanes(brisk=2, slow=1)
    assert lanes.enter("one", "a@one", slow=True)
    assert lanes.enter("one", "b@one", slow=True) is None
    assert lanes.enter("one", "b@one", slow=False)


def test_who_turns_out_to_be_slow_makes_room_once_there_is_a_place_for_the_slow():
    lanes = Lanes(brisk=1, slow=1)
    first = lanes.enter("one", "a@one", slow=False)
    assert lanes.enter("one", "b@one", slow=False) is None
    assert lanes.slow_down(first)
    assert not lanes.slow_down(first), "once is enough"
    second = lanes.enter("one", "b@one", slow=False)
    assert not lanes.slow_down(second), "there is no place left for the slow"
    lanes.leave(first)
    assert lanes.slow_down(second)


def test_a_mailbox_has_so_many_and_gets_them_back():
    lanes = Lanes(brisk=9, slow=9, per_mailbox=2)
    places = [lanes.enter("one", "a@one", slow=slow) for slow in (False, True)]
    assert lanes.enter("one", "a@one", slow=False) is None
    lanes.leave(places[1])
    assert lanes.enter("one", "a@one", slow=False)
    assert lanes.enter("two", "a@one", slow=False), "the same address in another tenant is another mailbox"
