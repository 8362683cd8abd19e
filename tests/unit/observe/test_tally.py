from hypothesis import given
from hypothesis import strategies as st

from postroom.observe.metrics import Metrics
from postroom.observe.tally import BOUNDS, Tally


def test_attempts_are_counted_for_each_handler_and_state():
    tally = Tally()
    for handler, state in [("erp", "done"), ("erp", "done"), ("erp", "dead"), ("log", "done")]:
        tally.add(handler, state, 0.1)
    assert tally.counts == {("erp", "done"): 2, ("erp", "dead"): 1, ("log", "done"): 1}
    assert sum(tally.spreads["erp"].buckets) == 3


@given(st.lists(st.floats(0, 1000)))
def test_each_bucket_counts_what_took_no_longer_than_its_bound(times):
    tally = Tally()
    for seconds in times:
        tally.add("erp", "done", seconds)
    for bound, count in tally.spreads["erp"].cumulated() if times else ():
        assert count == sum(seconds <= float(bound) for seconds in times)


def test_the_histogram_is_one_as_prometheus_expects_it(health, clock):
    metrics = Metrics(health, clock)
    for seconds in (0.005, 0.006, 1000.0):
        metrics.delivery("erp", "done", seconds)
    text = metrics.render().decode()
    assert "# TYPE postroom_deliveries_total counter" in text
    assert 'postroom_deliveries_total{handler="erp",state="done"} 3.0' in text
    assert "# TYPE postroom_delivery_seconds histogram" in text
    buckets = [line for line in text.splitlines() if line.startswith("postroom_delivery_seconds_bucket")]
    assert [line.rpartition(" ")[2] for line in buckets] == ["1.0", "2.0", *["2.0"] * (len(BOUNDS) - 2), "3.0"]
    assert 'postroom_delivery_seconds_bucket{handler="erp",le="+Inf"} 3.0' in text
    assert 'postroom_delivery_seconds_count{handler="erp"} 3.0' in text
    assert 'postroom_delivery_seconds_sum{handler="erp"} 1000.011' in text
