import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from postroom.handlers.duration import Duration
from postroom.plugin import Options


class Knob(Options):
    """Options."""

    wait: Duration = Field(default=5.0, gt=0, le=600)
    """How long."""


@pytest.mark.parametrize(
    ("given_as", "seconds"),
    [(20, 20), (0.5, 0.5), ("250ms", 0.25), ("30s", 30), ("1.5s", 1.5), ("5m", 300), ("20", 20)],
)
def test_seconds_may_have_a_unit(given_as, seconds):
    assert Knob.model_validate({"wait": given_as}).wait == seconds


def test_days_and_hours_are_units_here_as_everywhere_in_a_configuration():
    class Patient(Options):
        wait: Duration = 5.0

    assert Patient.model_validate({"wait": "2d"}).wait == 172_800
    assert Patient.model_validate({"wait": "6h"}).wait == 21_600


@pytest.mark.parametrize("value", ["1h", "0s", 0, -1, 601, "5 s", "s", "", "1d", "nan", "inf", None, "٣s"])
def test_what_is_no_time_within_the_limits_is_refused(value):
    with pytest.raises(ValidationError):
        Knob.model_validate({"wait": value})


@given(st.one_of(st.floats(min_value=0.001, max_value=600), st.from_regex(r"\A[0-9]{1,2}(ms|s|m)\Z")))
def test_editors_take_what_the_program_takes(value):
    try:
        Knob.model_validate({"wait": value})
    except ValidationError:
        return
    jsonschema.validate({"wait": value}, Knob.model_json_schema())
