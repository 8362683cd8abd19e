"""Profiles replace one another whole, say what they did, and come out the same for the same seed."""

import pytest

from postroom.simulator.effect_json import fault_json
from postroom.simulator.faults import Fault, FaultPlan
from postroom.simulator.profiles import PROFILES
from postroom.simulator.state import TenantState
from postroom.simulator.weather import NUISANCES, Weather

ADDRESS = "ann@contoso.example"
DELTA = f"/v1.0/users/{ADDRESS}/mailFolders/inbox/messages/delta"
PATHS = (DELTA, f"/v1.0/users/{ADDRESS}/messages/x", "/t/oauth2/v2.0/token")


@pytest.fixture
def weather(tmp_path):
    state = TenantState(tmp_path, lambda: None)
    state.add_mailbox(ADDRESS)
    made = Weather(state, FaultPlan())
    made.state = state
    yield made
    state.close()


def struck(weather, times=400):
    for _ in range(times):
        for path in PATHS:
            weather.faults.choose("GET", path)
    return [(one.name, one.path) for one in weather.faults.injected]


def test_the_profiles_are_the_promised_ones_and_the_calm_one_comes_first():
    assert list(PROFILES) == ["calm", "throttled", "bad-tuesday", "resets", "quota-full", "slow", "lossy-network"]


def test_it_begins_calm(weather):
    assert weather.profile.name == "calm"
    assert struck(weather) == []


@pytest.mark.parametrize("name", PROFILES)
def test_every_fault_of_a_profile_strikes_sooner_or_later(weather, name):
    weather.use(name)
    struck(weather)
    assert {fault.label for fault in weather.faults.faults} == set(weather.faults.counts)


@pytest.mark.parametrize("name", PROFILES)
def test_the_names_of_a_profiles_faults_are_different_and_can_be_told_as_json(weather, name):
    weather.use(name)
    told = [fault_json(fault) for fault in weather.faults.faults]
    assert len({each["name"] for each in told}) == len(told)
    assert all(each["effect"] for each in told)


def test_the_same_seed_makes_the_same_weather_and_another_another(weather, tmp_path):
    def run(seed):
        weather.faults.injected.clear()
        weather.use("bad-tuesday", seed=seed)
        return struck(weather)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_chance_depends_on_the_seed_even_where_other_faults_come_and_go():
    def hits(other):
        plan = FaultPlan(5)
        fault = plan.add(Fault(object(), path="/a", count=None, probability=0.3, name="a"))
        plan.add(Fault(object(), path="/b", count=None, probability=0.3, name="b"))
        return [plan.choose("GET", path) is fault.effect for path in other]

    alone = hits(["/a"] * 50)
    mixed = hits(["/a", "/b"] * 50)[::2]
    assert alone == mixed


def test_a_profile_takes_the_place_of_all_that_was_there(weather):
    weather.faults.add(Fault(object(), name="single"))
    weather.use("slow")
    assert "single" not in {fault.label for fault in weather.faults.faults}
    assert weather.nuisances["late"] == 0.5
    weather.use("calm")
    assert weather.faults.faults == []
    assert weather.nuisances["late"] == 0


def test_what_struck_stays_on_record_through_a_change_of_weather(weather):
    weather.use("bad-tuesday")
    struck(weather)
    weather.state.nuisance.record("replay", ADDRESS)
    before = weather.struck
    weather.use("calm")
    assert weather.struck == before
    assert before["replay"] == 1


def test_mailboxes_are_full_while_the_profile_lasts(weather):
    mailbox = weather.state.mailbox(ADDRESS)
    weather.use("quota-full")
    assert mailbox.full
    weather.use("calm")
    assert not mailbox.full


def test_a_condition_set_by_hand_outlives_profiles_that_have_none(weather):
    mailbox = weather.state.mailbox(ADDRESS)
    mailbox.full = True
    weather.use("slow")
    assert mailbox.full


def test_an_unknown_profile_changes_nothing_and_names_the_known(weather):
    weather.use("slow")
    with pytest.raises(ValueError, match="bad-tuesday"):
        weather.use("sunny")
    assert weather.profile.name == "slow"


def test_a_nuisance_can_be_set_alone(weather):
    weather.use("slow")
    weather.disturb({"replay": 0.25, "move_hole": True})
    assert (weather.nuisances["replay"], weather.nuisances["late"]) == (0.25, 0.5)
    assert weather.state.nuisance.move_hole is True
    assert set(weather.nuisances) == set(NUISANCES)


@pytest.mark.parametrize(
    "nuisances",
    [{"replay": 2.0}, {"replay": -1.0}, {"replay": "often"}, {"replay": True}, {"struck": 1}, {"x": 1},
     {"late_seconds": 1.0}, {"late_seconds": [1.0, "x"]}, {"move_hole": 1}, {"empty_in_a_row": -1}],
)  # fmt: skip
def test_a_nuisance_that_is_none_is_refused_and_changes_nothing(weather, nuisances):
    before = weather.nuisances
    with pytest.raises(ValueError, match=next(iter(nuisances))):
        weather.disturb(nuisances)
    assert weather.nuisances == before


def test_the_record_of_strikes_is_bounded_and_the_counts_are_not(weather, monkeypatch):
    monkeypatch.setattr("postroom.simulator.faults.REMEMBERED", 10)
    weather.faults.add(Fault(object(), count=None, name="always"))
    struck(weather, 50)
    assert len(weather.faults.injected) < 20
    assert weather.faults.counts["always"] == 150
    assert weather.faults.injected[-1].number == 150
