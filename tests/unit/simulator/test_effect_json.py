"""Faults can be written as JSON and read back; what makes no sense is refused with words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.simulator.control.presets import PRESETS
from postroom.simulator.effect_json import EFFECTS, effect_json, fault_from, fault_json

LEAST = {"graph_error": {"status": 429, "code": "ApplicationThrottled"}, "entra_error": {"code": 90055}}


@pytest.mark.parametrize("kind", EFFECTS)
def test_every_effect_can_be_written_and_read_back(kind):
    fault = fault_from({"effect": kind, **LEAST.get(kind, {}), "path": "*/delta*", "count": 3, "name": "mine"})
    told = json.loads(json.dumps(fault_json(fault)))
    again = fault_from({name: value for name, value in told.items() if name != "id"})
    assert again == fault
    assert (again.path, again.count, again.name) == ("*/delta*", 3, "mine")


@pytest.mark.parametrize("name", PRESETS)
def test_every_fault_the_page_offers_can_be_read(name):
    assert fault_from(PRESETS[name]).effect is not None


def test_a_fault_may_strike_always_and_by_chance():
    fault = fault_from({"effect": "reset", "count": None, "probability": 0.5, "after": 2, "method": "POST"})
    assert (fault.count, fault.probability, fault.after, fault.method) == (None, 0.5, 2, "POST")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "effect is one of"),
        ({"effect": "explode"}, "effect is one of"),
        ({"effect": ["reset"]}, "effect is one of"),
        ({"effect": "reset", "status": 500}, "status: not known"),
        ({"effect": "reset", "probability": 2}, "probability"),
        ({"effect": "reset", "probability": "x"}, "probability"),
        ({"effect": "reset", "count": -1}, "count"),
        ({"effect": "reset", "after": -1}, "after"),
        ({"effect": "reset", "path": 7}, "path"),
        ({"effect": "reset", "path": "x" * 501}, "path"),
        ({"effect": "graph_error"}, "status"),
        ({"effect": "graph_error", "status": 99, "code": "x"}, "status"),
        ({"effect": "graph_error", "status": 429, "code": "x", "headers": {"A B": "c"}}, "header"),
        ({"effect": "graph_error", "status": 429, "code": "x", "headers": {"A": "b\r\nC: d"}}, "header"),
        ({"effect": "entra_error", "code": 1}, "code is one of"),
        ({"effect": "stalled", "seconds": -1}, "seconds"),
        ({"effect": "stalled", "seconds": 1e9}, "seconds"),
        ({"effect": "truncated", "part": 2}, "part"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_words(document, words):
    with pytest.raises(ValueError, match=words):
        fault_from(document)


def test_an_effect_of_somebody_elses_is_told_by_its_class():
    class Mine:
        pass

    assert effect_json(Mine()) == {"effect": "Mine"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["path", "method", "count", "after", "probability", "name", "status", "code", "seconds", "part", "headers", "x"]
)


@given(st.dictionaries(NAMES, JSON, max_size=6), st.sampled_from(list(EFFECTS)) | JSON)
def test_whatever_is_sent_is_read_or_refused(document, kind):
    try:
        fault = fault_from({**document, "effect": kind})
    except ValueError:
        return
    json.dumps(fault_json(fault))
