from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import AuthError
from postroom.graph.aadsts import ADVICE
from postroom.graph.auth_errors import auth_error
from postroom.tenant import CLOUDS, ClientSecret, ManagedIdentity, Secret, Tenant

TENANT = Tenant("default", CLOUDS["global"], "t", "c", ClientSecret(Secret("hunter2-secret")))

EXPLAINED = [
    7000215, 7000222, 7000218, 700025, 700016, 700011, 7000112, 70001, 90002, 900023, 50059, 50128, 700027, 700030,
    50012, 50017, 700024, 700211, 700212, 700213, 7002111, 7002121, 7002131, 70021, 700222, 700229, 500011, 50001,
    650057, 70011, 28002, 65001, 650056, 90094, 53003, 530032, 53011, 1000031, 50196, 90055, 90033, 90006, 90012,
    90024, 90090, 90091, 50033, 50000, 90038, 900382, 900432,
]  # fmt: skip
TEMPORARY = {50196, 90055, 90033, 90006, 90012, 90024, 90090, 90091, 50033, 50000}


@pytest.mark.parametrize("number", EXPLAINED)
def test_every_code_worth_explaining_has_cause_and_remedy(number):
    error = auth_error({"error": "x", "error_codes": [number], "error_description": f"AADSTS{number}: Text."}, TENANT)
    assert error.code == f"AADSTS{number}"
    assert f"AADSTS{number}: {ADVICE[number].cause}" in error.message
    assert error.remedy == ADVICE[number].remedy
    assert error.temporary is (number in TEMPORARY)


def test_the_code_is_found_in_the_text_alone():
    assert auth_error({"error_description": "AADSTS90002: Tenant 'x' not found."}, TENANT).code == "AADSTS90002"


def test_a_known_code_counts_more_than_an_unknown_one():
    assert auth_error({"error_codes": [999999, 7000222]}, TENANT).code == "AADSTS7000222"


def test_an_unknown_code_falls_back_to_the_oauth_error():
    error = auth_error({"error": "temporarily_unavailable", "error_codes": [123456]}, TENANT)
    assert (error.code, error.temporary) == ("AADSTS123456", True)
    error = auth_error({"error": "invalid_client"}, TENANT)
    assert (error.code, error.temporary) == ("invalid_client", False)
    assert auth_error({"error": "never_heard_of"}, TENANT).remedy
    assert auth_error({}, TENANT).code == "refused"


@pytest.mark.parametrize(("status", "temporary"), [(400, False), (401, False), (429, True), (500, True), (503, True)])
def test_a_server_error_passes_whatever_its_code(status, temporary):
    assert auth_error({"error": "invalid_client"}, TENANT, status=status).temporary is temporary


@pytest.mark.parametrize("answer", [{}, {"error": {"code": "x", "message": "y"}}, {"error": "upstream"}])
@pytest.mark.parametrize("status", [429, 502, 503])
def test_what_is_not_entras_and_passes_is_no_refusal(answer, status):
    error = auth_error(answer, TENANT, status=status)
    assert (error.code, error.temporary) == ("unreachable", True)
    assert f"answered {status}" in error.message
    assert "try again in some minutes (a running daemon does by itself)" in error.remedy, "a command has none"


def test_entras_first_line_is_quoted_and_its_ids_are_fields():
    text = "AADSTS7000222: The keys are expired. Trace ID: t-1 Correlation ID: c-1 Timestamp: now\r\nMore."
    error = auth_error({"error_description": text, "trace_id": "t-1", "correlation_id": "c-1"}, TENANT)
    assert error.message.endswith("Entra says: AADSTS7000222: The keys are expired.")
    assert (error.trace_id, error.fields["trace_id"], error.fields["correlation_id"]) == ("t-1", "t-1", "c-1")


def test_no_secret_and_no_token_is_repeated():
    text = "AADSTS7000215: Bad hunter2-secret, file-secret and eyJhbGc.eyJpc3M.c2ln here"
    error = auth_error({"error_description": text}, TENANT, secret="file-secret")
    for hidden in ("hunter2", "file-secret", "eyJ"):
        assert hidden not in str(error)


def test_a_managed_identity_that_is_not_there_is_explained():
    tenant = Tenant("default", CLOUDS["global"], "t", "c", ManagedIdentity())
    assert "managed identity" in auth_error({"error": "invalid_request"}, tenant).message


@given(
    st.dictionaries(
        st.sampled_from(["error", "error_description", "error_codes", "trace_id", "correlation_id"]),
        st.none() | st.text() | st.integers() | st.lists(st.none() | st.integers() | st.text()),
    )
)
def test_any_answer_becomes_an_auth_error(answer):
    error = auth_error(answer, TENANT)
    assert isinstance(error, AuthError)
    assert str(error).isprintable()
