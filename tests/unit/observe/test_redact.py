import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.observe.redact import LONGEST_VALUE, REDACTED, clean, escape, escape_json, field, is_secret_key, redact


def jwt():
    parts = ({"alg": "PS256", "typ": "JWT"}, {"aud": "https://graph.example", "roles": ["Mail.Read"]})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJlLW9mLWEtdG9rZW4"])


@pytest.mark.parametrize(
    "key",
    [
        "secret",
        "client_secret",
        "Client-Secret",
        "token",
        "access_token",
        "Authorization",
        "password",
        "passphrase",
        "client_assertion",
        "x-api-key",
        "apikey",
        "private_key",
        "Set-Cookie",
        "delta_link",
        "next_link",
    ],
)
def test_a_value_under_a_secret_key_is_never_shown(key):
    assert is_secret_key(key)
    assert field(key, "hunter2") == REDACTED


@pytest.mark.parametrize(
    "key", ["tenant", "secret_file", "idempotency_key", "token_type", "expires_at", "mailbox", "tokens_left"]
)
def test_a_key_that_only_speaks_of_secrets_is_shown(key):
    assert not is_secret_key(key)
    assert field(key, "plain") == "plain"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer abc.DEF-123=", "Authorization: Bearer [redacted]"),
        ("got bearer   xyz987 there", "got bearer [redacted] there"),
        ('{"access_token": "opaque", "expires_in": 3599}', '{"access_token": "[redacted]", "expires_in": 3599}'),
        ("client_secret=a~b.c&scope=x", "client_secret=[redacted]&scope=x"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: [redacted]"),
        ("proxy http://user:pass@proxy.example:3128/", "proxy http://[redacted]@proxy.example:3128/"),
        (
            "https://graph.example/v1.0/users/a@b/messages/delta?$deltatoken=abc failed",
            "https://graph.example/v1.0/users/a@b/messages/delta?[redacted] failed",
        ),
        ("/delta?$skiptoken=abc&x=1", "/delta?$skiptoken=[redacted]&x=1"),
        ("/delta?%24deltatoken=abc", "/delta?%24deltatoken=[redacted]"),
        ("Is this paid? token default expired", "Is this paid? token default expired"),
    ],
)
def test_what_looks_like_a_secret_is_cut_out_of_any_text(text, kept):
    assert redact(text) == kept


def test_a_token_is_found_wherever_it_stands():
    nested = {"outer": [{"note": f"said {jwt()}."}], jwt(): 1}
    assert jwt() not in json.dumps(clean(nested))
    assert jwt()[:40] not in json.dumps(clean({"prefix": "x" * (LONGEST_VALUE - 60) + jwt()}))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=8), st.text(), st.text())
def test_a_bearer_value_never_survives(value, before, after):
    secret = f"zq{value}qz"
    assert secret not in redact(f"{before} Bearer {secret} {after}")


@pytest.mark.parametrize("key", ["body", "preview", "bodyPreview", "content", "html", "mime"])
def test_the_text_of_a_mail_is_logged_as_its_length(key):
    assert field(key, "dear customer") == "[13 characters]"
    assert field(key, {"content": "dear customer"}) == REDACTED


def test_bytes_are_logged_as_their_length():
    assert clean(b"\x00\x01") == "[2 bytes]"


def test_a_long_value_is_cut():
    assert redact("x" * 10_000) == "x" * LONGEST_VALUE + "... (10000 characters)"


def test_a_deep_or_cyclic_value_ends():
    value = {}
    value["again"] = value
    assert len(json.dumps(clean(value))) < 2 * LONGEST_VALUE
    assert len(clean(list(range(10_000)))) == 50


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_is_cleaned_is_json(value):
    json.dumps(clean(value))


@given(st.text(alphabet=st.characters()))
def test_escaped_text_holds_no_control_character(text):
    escaped = escape(text)
    assert not set(escaped) & {chr(number) for number in [*range(32), *range(127, 160), 0x2028, 0x202E, 0x2066, 0xD800]}


def test_harmless_text_is_not_changed_by_escaping():
    assert escape("Rechnung für März, 5 €") == "Rechnung für März, 5 €"


@given(st.text())
def test_an_escaped_json_line_means_the_same(text):
    line = json.dumps({"subject": text}, ensure_ascii=False)
    assert json.loads(escape_json(line)) == {"subject": text}
    assert "\x9b" not in escape_json(line)
