"""Whatever a stranger sends, the simulated Entra either signs in or refuses by number; it never falls over."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.simulator.entra import App, BearerRefused, ClientSecret, Directory, Entra, EntraError, Federation
from postroom.simulator.entra.credentials import JWT_BEARER, check_scope
from postroom.simulator.entra.errors import REFUSALS

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BASE = "https://127.0.0.1:1"
FEDERATION = Federation("https://issuer.example/")


def make_entra() -> Entra:
    entra = Entra(login=BASE, resources=[BASE], clock=lambda: NOW)
    entra.trust(FEDERATION)
    directory = entra.add_directory(Directory("11111111-1111-1111-1111-111111111111", ["contoso.example"]))
    app = App("app", "App", secrets=[ClientSecret("right")], federated=[FEDERATION.credential("subject")])
    directory.add_app(app)
    return entra


ENTRA = make_entra()


def sign_in(form: dict[str, str], authorization: str = "") -> str:
    try:
        ENTRA.sign_in("contoso.example", form, base=BASE, authorization=authorization)
    except EntraError as error:
        body = error.body(NOW, host=BASE)
        json.dumps(body)
        return f"{error.status} {body['error']}"
    return "200"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
headers = st.fixed_dictionaries({}, optional={"alg": anything, "x5t": anything, "x5t#S256": anything, "crit": anything})
claims = st.fixed_dictionaries({}, optional=dict.fromkeys(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), anything))


def with_assertion(token: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": "app",
        "scope": f"{BASE}/.default",
        "client_assertion": token,
        "client_assertion_type": JWT_BEARER,
    }


@given(token=st.text(max_size=200))
def test_text_that_is_no_jwt_is_refused(token):
    assert sign_in(with_assertion(token)) in ("400 invalid_request", "401 invalid_client")


@given(header=headers, payload=claims | anything, signature=st.binary(max_size=40))
def test_a_made_up_jwt_is_refused(header, payload, signature):
    tail = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    outcome = sign_in(with_assertion(f"{encoded(header)}.{encoded(payload)}.{tail}"))
    assert outcome in ("400 invalid_request", "401 invalid_client")


@given(more=claims)
def test_a_well_signed_token_with_odd_claims_is_judged(more):
    try:
        token = FEDERATION.token("subject", now=NOW, **more)
    except TypeError:
        return  # PyJWT refuses to sign an issuer that is no text
    outcome = sign_in(with_assertion(token))
    assert outcome in ("200", "400 invalid_request", "401 invalid_client")


def test_the_token_behind_those_claims_is_good():
    assert sign_in(with_assertion(FEDERATION.token("subject", now=NOW))) == "200"


@given(
    form=st.dictionaries(
        st.sampled_from(["grant_type", "client_id", "scope", "client_secret", "client_assertion"]), st.text()
    ),
    authorization=st.text(),
)
def test_any_form_gets_an_answer(form, authorization):
    assert sign_in(form, authorization) != "200"


@given(scheme=st.sampled_from(["Basic", "basic", "Bearer"]), value=st.binary())
def test_any_basic_credentials_get_an_answer(scheme, value):
    form = {"grant_type": "client_credentials", "scope": f"{BASE}/.default"}
    assert sign_in(form, f"{scheme} {base64.b64encode(value).decode()}") != "200"


@given(value=st.text())
def test_no_made_up_bearer_gets_through(value):
    for header in (value, f"Bearer {value}"):
        with pytest.raises(BearerRefused):
            ENTRA.identify(header)


@given(scope=st.text())
def test_only_the_default_scope_of_a_known_resource_passes(scope):
    with pytest.raises(EntraError) as refusal:
        check_scope(scope, [BASE])
    assert refusal.value.code in (70011, 1002012, 500011)


@given(code=st.sampled_from(sorted(REFUSALS)), value=st.text())
def test_every_refusal_can_be_said_about_anything(code, value):
    body = EntraError(code, value).body(NOW, host=BASE)
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert body["error_codes"] == [code]


def test_a_token_another_login_host_issued_for_the_same_graph_is_refused():
    form = {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "right",
        "scope": f"{BASE}/.default",
    }
    elsewhere = make_entra()
    elsewhere.login = "https://login.elsewhere.example"
    elsewhere.signer = ENTRA.signer
    for entra, accepted in ((ENTRA, True), (elsewhere, False)):
        token = entra.sign_in("contoso.example", form, base=BASE)["access_token"]
        if accepted:
            assert ENTRA.identify(f"Bearer {token}")[0].client_id == "app"
        else:
            with pytest.raises(BearerRefused, match="issuer"):
                ENTRA.identify(f"Bearer {token}")
