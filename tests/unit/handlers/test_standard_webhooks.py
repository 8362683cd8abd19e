import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.handlers.standard_webhooks import key, keys, sign, webhook_id

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_published_example():
    headers = sign(keys(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_key_there_is_no_signature():
    assert "webhook-signature" not in sign((), "msg_1", 1, b"{}")


def test_each_line_of_a_secret_signs():
    headers = sign(keys(f"{SECRET}\n\n  old secret \n"), "msg_1", 1, b"{}")
    one, other = headers["webhook-signature"].split(" ")
    assert one == sign(keys(SECRET), "msg_1", 1, b"{}")["webhook-signature"]
    assert other == sign([b"old secret"], "msg_1", 1, b"{}")["webhook-signature"]


@given(st.binary(min_size=24, max_size=64))
def test_what_follows_whsec_is_base64_of_the_key(raw):
    assert key(f"whsec_{base64.b64encode(raw).decode()}") == raw


def test_any_other_text_is_the_key_itself():
    assert key("pässword") == "pässword".encode()


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "empty"),
        ("whsec_", "0 bytes"),
        ("whsec_!!!", "not base64"),
        ("whsec_" + "A" * 28, "21 bytes"),
        ("whsec_" + "A" * 88, "66 bytes"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_showing_it(secret, why):
    with pytest.raises(ValueError, match=why) as caught:
        keys(secret)
    assert "AAAA" not in str(caught.value)
    assert "!!!" not in str(caught.value)


@given(st.text(), st.text())
def test_an_id_is_the_same_for_one_key_and_another_for_another(one, other):
    assert "." not in webhook_id(one)
    assert (webhook_id(one) == webhook_id(other)) == (one == other)
