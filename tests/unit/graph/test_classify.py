from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import (
    Conflict,
    Forbidden,
    GraphError,
    NotFound,
    QuotaExceeded,
    Refused,
    ResyncRequired,
    Throttled,
    Unavailable,
)
from postroom.graph.classify import classify, item_is_gone


def body(code, text="", *inner, key="innerError"):
    nested = {"request-id": "r"}
    for each in reversed(inner):
        nested = {"code": each, key: nested}
    return json.dumps({"error": {"code": code, "message": text, key: nested}}).encode()


RAOP = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."

CASES = [
    (401, body("InvalidAuthenticationToken"), Forbidden, "clock"),
    (401, b"", Forbidden, "clock"),
    (403, body("ErrorAccessDenied", "Access is denied."), Forbidden, "Mail.Read"),
    (403, body("ErrorAccessDenied", RAOP), Forbidden, "scope"),
    (403, body("Authorization_RequestDenied"), Forbidden, "Mail.Read"),
    (403, body("ErrorSendAsDenied"), Forbidden, "right to send"),
    (403, body("ErrorQuotaExceeded", "Cannot save changes made to an item to store."), QuotaExceeded, "full"),
    (507, body("quotaLimitReached"), QuotaExceeded, "full"),
    (404, body("ErrorItemNotFound"), NotFound, ""),
    (404, body("ErrorItemNotFound", "Default folder Root not found."), Unavailable, "Outlook"),
    (404, body("ErrorInvalidUser"), NotFound, "address"),
    (404, body("Request_ResourceNotFound"), NotFound, "address"),
    (404, body("ResourceNotFound", "Resource could not be discovered."), NotFound, "licence"),
    (404, body("MailboxNotEnabledForRESTAPI"), Forbidden, "licence"),
    (404, body("ErrorSyncFolderNotFound"), NotFound, "folder"),
    (404, b"", Unavailable, "proxy"),
    (404, b"<html>", Unavailable, "proxy"),
    (410, body("SyncStateNotFound"), ResyncRequired, "again"),
    (410, body("resyncRequired"), ResyncRequired, "again"),
    (410, b"", ResyncRequired, "again"),
    (400, body("syncStateInvalid"), ResyncRequired, "again"),
    (400, body("BadRequest", "", "SYNCSTATENOTFOUND"), ResyncRequired, "again"),
    (400, body("InvalidSyncStateData"), ResyncRequired, "again"),
    (400, body("ErrorInvalidUrlQuery"), Refused, ""),
    (400, body("SomethingNew"), Refused, ""),
    (400, body("ErrorInvalidIdMalformed"), Refused, "id"),
    (400, b"<html>Bad Request", Unavailable, "proxy"),
    (405, body("MethodNotAllowed"), Refused, ""),
    (409, body("ErrorIrresolvableConflict"), Conflict, ""),
    (412, body("ErrorIrresolvableConflict"), Conflict, ""),
    (409, body("ErrorFolderExists"), Conflict, ""),
    (413, body("RequestEntityTooLarge"), Refused, ""),
    (429, body("ApplicationThrottled", "over its MailboxConcurrency limit"), Throttled, "poll"),
    (429, b"", Throttled, "poll"),
    (509, b"", Throttled, "poll"),
    (500, body("ErrorServerBusy"), Throttled, "poll"),
    (500, body("ErrorCorruptData"), Refused, "item"),
    (500, body("ErrorInternalServerTransientError"), Unavailable, "Microsoft"),
    (503, body("ErrorMailboxMoveInProgress"), Unavailable, "moving"),
    (503, body("ErrorMailboxStoreUnavailable"), Unavailable, "Microsoft"),
    (503, b"", Unavailable, ""),
    (504, b"<html>Gateway", Unavailable, ""),
    (500, b"not json", Unavailable, ""),
    (302, b"", Unavailable, "redirect"),
    (403, body("UnknownError2", "... preventing tokens from being issued for it"), Forbidden, "subscription"),
]


@pytest.mark.parametrize(("status", "content", "kind", "hint"), CASES)
def test_an_answer_becomes_the_error_it_stands_for(status, content, kind, hint):
    error = classify(status, {}, content, mailbox="a@b")
    assert type(error) is kind
    assert hint in error.remedy
    assert error.status == status
    assert error.fields["mailbox"] == "a@b"


@pytest.mark.parametrize("key", ["innerError", "innererror"])
def test_the_innermost_known_code_counts(key):
    error = classify(403, {}, body("ErrorAccessDenied", "", "ErrorQuotaExceeded", "SomethingNew", key=key))
    assert (error.code, error.inner_code) == ("ErrorAccessDenied", "ErrorQuotaExceeded")
    assert isinstance(error, QuotaExceeded)


def test_a_claims_challenge_points_at_conditional_access():
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="..."'}
    error = classify(401, headers, body("InvalidAuthenticationToken"))
    assert "Conditional Access" in error.remedy


def test_the_message_names_status_code_and_text_in_one_line():
    error = classify(
        403, {"Request-Id": "r-9"}, body("ErrorAccessDenied", "Access\r\nis denied."), doing="reading Inbox"
    )
    assert error.message == "While reading Inbox, Graph answered 403 ErrorAccessDenied: Access is denied."
    assert error.request_id == "r-9"


def test_a_token_in_graphs_text_is_hidden():
    error = classify(401, {}, body("InvalidAuthenticationToken", "Bad token eyJabc.eyJdef.sig here"))
    assert "eyJ" not in str(error)


def test_only_a_missing_item_counts_as_gone():
    assert item_is_gone(classify(404, {}, body("ErrorItemNotFound")))
    assert not item_is_gone(classify(404, {}, body("ErrorInvalidUser")))
    assert not item_is_gone(classify(404, {}, body("MailboxNotEnabledForRESTAPI")))
    assert not item_is_gone(classify(404, {}, body("ErrorItemNotFound", "Default folder Root not found")))
    assert not item_is_gone(classify(404, {}, b""))


@given(
    st.integers(300, 599),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.dictionaries(st.sampled_from(["error", "code", "message", "innerError", "innererror", "x"]), inner)
            | st.lists(inner)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_answer_becomes_a_graph_error(status, content):
    error = classify(status, {}, content)
    assert isinstance(error, GraphError)
    assert str(error).isprintable()
