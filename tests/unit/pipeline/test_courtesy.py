"""Courtesy: what is answered, what is not, and how much is sent."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import Address, Forward, Reply, Send
from postroom.outgoing import MOST_RECIPIENTS, TAG_HEADER, Rate, SendingLimits
from postroom.pipeline.courtesy import is_answer, over, recipients, refusal
from postroom.ports import Busy, Refusal, Traffic
from postroom.testing import make_message

ANNA = "anna@supplier.example"
OWN = "invoices@contoso.example"
REPLY = Reply("Hello")
FORWARD = Forward(("team@contoso.example",))


def person(**fields):
    return make_message(
        **{"mailbox": OWN, "sender": Address("Anna", ANNA), "sent_from": Address("Anna", ANNA)} | fields
    )


def test_a_person_is_answered():
    ordinary = [("Return-Path", ANNA), ("Received", "from x"), ("Content-Type", "text/plain"), ("Subject", "auto")]
    assert refusal(REPLY, person(), ordinary) == ""


MACHINES = [
    ("Auto-Submitted", "auto-replied"),
    ("Auto-Submitted", "auto-generated; type=x"),
    ("Auto-Submitted", "(a comment: no) auto-notified"),
    ("Auto-Submitted", ""),
    ("X-Auto-Response-Suppress", "All"),
    ("X-Auto-Response-Suppress", "DR, OOF, AutoReply"),
    ("Precedence", "bulk"),
    ("Precedence", "list"),
    ("Precedence", "junk"),
    ("List-Id", "<news.supplier.example>"),
    ("List-Unsubscribe", "<https://supplier.example/x>"),
    ("Return-Path", "<>"),
    ("Return-Path", ""),
    ("Content-Type", "multipart/report; report-type=delivery-status"),
    ("X-Autoreply", "yes"),
    (TAG_HEADER, "0123456789abcdef"),
    ("X-Postroom-Of-A-Later-Version", "1"),
]


@pytest.mark.parametrize(("name", "value"), MACHINES)
def test_a_machine_is_not_answered(name, value):
    assert refusal(REPLY, person(), [("Received", "from x"), (name, value)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Auto-Submitted", "no"),
        ("Auto-Submitted", "(of course) NO ; x=y"),
        ("X-Auto-Response-Suppress", "None"),
        ("Precedence", "normal"),
        ("Return-Path", "<anna@supplier.example>"),
        ("Content-Type", "multipart/mixed"),
    ],
)
def test_what_only_looks_like_a_machines_header_keeps_nobody_from_an_answer(name, value):
    assert refusal(REPLY, person(), [(name, value)]) == ""


@given(
    st.sampled_from(MACHINES),
    st.lists(st.tuples(st.text(string.ascii_letters + "-", min_size=1), st.text()), max_size=10),
    st.randoms(use_true_random=False),
)
def test_a_machines_header_counts_in_any_case_among_any_others_in_any_order(sign, others, random):
    cased = ("".join(random.choice([each.lower(), each.upper()]) for each in sign[0]), f" {sign[1]} ")
    headers = [*others, cased]
    random.shuffle(headers)
    assert refusal(REPLY, person(), headers)
    assert refusal(Send((ANNA.upper(),), "s", "t"), person(), headers)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_no_header_makes_courtesy_fail(headers):
    for action in (REPLY, FORWARD):
        assert isinstance(refusal(action, person(), headers), str)


@pytest.mark.parametrize(
    "local",
    [
        "MAILER-DAEMON",
        "postmaster",
        "noreply",
        "no-reply",
        "DoNotReply",
        "owner-news",
        "news-request",
        "news-bounces",
        "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e",
    ],
)
def test_nobody_is_written_to_where_nobody_reads(local):
    assert refusal(REPLY, person(sender=Address("", f"{local}@supplier.example")), [])
    assert refusal(REPLY, person(sent_from=Address("", f"{local}@supplier.example")), [])
    assert refusal(REPLY, person(reply_to=(Address("", f"{local}@supplier.example"),)), [])


@pytest.mark.parametrize("local", ["request", "reply", "norbert.reply", "bounces", "downer"])
def test_a_person_with_an_unlucky_name_is_answered(local):
    assert refusal(REPLY, person(sender=Address("", f"{local}@supplier.example")), []) == ""


def test_the_mailbox_does_not_answer_itself():
    assert "itself" in refusal(REPLY, person(sender=Address("", OWN.upper())), [])
    assert "itself" in refusal(REPLY, person(reply_to=(Address("", OWN),)), [])


def test_a_mail_from_nobody_is_not_answered():
    assert refusal(REPLY, person(sender=Address("Anna", "")), [])


def test_a_stranger_cannot_make_one_answer_go_to_many():
    crowd = tuple(Address("", f"victim{n}@elsewhere.example") for n in range(MOST_RECIPIENTS + 1))
    assert refusal(REPLY, person(reply_to=crowd), [])
    assert refusal(Reply("x", to_all=True), person(to=crowd), [])
    assert refusal(REPLY, person(to=crowd), []) == ""


def test_a_forward_of_a_machines_mail_is_allowed_but_not_of_a_postrooms():
    bulk = [("Auto-Submitted", "auto-generated"), ("List-Id", "<x>"), ("Precedence", "bulk")]
    assert refusal(FORWARD, person(), bulk) == ""
    assert refusal(FORWARD, person(), [(TAG_HEADER, "1")])


REPORTS = [
    ("Return-Path", "<>"),
    ("Return-Path", ""),
    ("Content-Type", "multipart/report; report-type=delivery-status"),
    ("Content-Type", 'Multipart/Report; boundary="x"; Report-Type="Delivery-Status"'),
    ("Content-Type", "multipart/report; boundary=x"),
    ("X-Failed-Recipients", "desk@contoso.example"),
    ("X-MS-Exchange-Message-Is-Ndr", ""),
]
ALARM = Send(("duty@contoso.example",), "s", "t")


@pytest.mark.parametrize("action", [FORWARD, ALARM], ids=["forward", "send"])
@pytest.mark.parametrize("sign", REPORTS)
def test_nothing_is_sent_because_of_a_delivery_report(action, sign):
    assert "report" in refusal(action, person(), [("Received", "from x"), sign])


@pytest.mark.parametrize("local", ["MAILER-DAEMON", "postmaster", "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"])
@pytest.mark.parametrize("field", ["sender", "sent_from"])
def test_nothing_is_sent_because_of_what_a_mail_system_wrote(local, field):
    assert refusal(FORWARD, person(**{field: Address("", f"{local}@contoso.example")}), [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Auto-Submitted", "auto-replied"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Id", "<news.supplier.example>"),
        ("Content-Type", "multipart/report; report-type=feedback-report"),
        ("Content-Type", 'multipart/mixed; boundary="multipart/report; report-type=delivery-status"'),
        ("Content-Type", ""),
        ("Return-Path", "<noreply@supplier.example>"),
    ],
)
def test_other_mail_of_machines_is_forwarded(name, value):
    assert refusal(FORWARD, person(sender=Address("", "noreply@supplier.example")), [(name, value)]) == ""


@pytest.mark.parametrize(
    "action", [REPLY, Forward((ANNA.upper(),)), Send(("x@y.example",), "s", "t", (ANNA,))], ids=["reply", "to", "cc"]
)
def test_what_goes_back_to_the_writer_is_an_answer(action):
    assert is_answer(action, person())


def test_what_goes_to_others_is_none():
    assert not is_answer(FORWARD, person())
    assert is_answer(
        Send(("desk@supplier.example",), "s", "t"), person(reply_to=(Address("", "desk@supplier.example"),))
    )


def test_an_answer_goes_to_reply_to_or_else_to_from_and_to_all_without_oneself():
    mail = person(
        to=(Address("", OWN), Address("", "b@x.example")), cc=(Address("", "c@x.example"), Address("", "B@x.example"))
    )
    assert recipients(REPLY, mail) == (ANNA,)
    assert [each.lower() for each in recipients(Reply("x", to_all=True), mail)] == [ANNA, "b@x.example", "c@x.example"]
    assert recipients(REPLY, person(reply_to=(Address("", "desk@x.example"),))) == ("desk@x.example",)


LIMITS = SendingLimits(Rate(4, 3600), Rate(10, 86400), Rate(100, 3600))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_no_limit_is_ever_passed_and_nothing_is_held_below_all(correspondent, conversation, mailbox):
    traffic = Traffic(correspondent, conversation, mailbox)
    objection = over(LIMITS, traffic, answer=True)
    assert (objection is None) == (correspondent < 4 and conversation < 10 and mailbox < 100)
    assert not isinstance(objection, Busy)
    asked = over(LIMITS, traffic, answer=False)
    assert isinstance(asked, Refusal) == (conversation >= 10)
    assert isinstance(asked, Busy) == (conversation < 10 and mailbox >= 100)


def test_zero_allows_nothing():
    none = SendingLimits(Rate(0, 3600), Rate(0, 3600), Rate(0, 3600))
    assert isinstance(over(none, Traffic(), answer=True), Refusal)


@given(st.data())
def test_whatever_two_postrooms_write_to_each_other_ends_after_the_first_mail(data):
    """Each answers what it gets, whatever the mail says otherwise; the tag alone has to end it."""
    sent = 0
    headers = data.draw(st.lists(st.tuples(st.text(string.ascii_letters, max_size=8), st.text(max_size=8)), max_size=5))
    message = person()
    while not refusal(REPLY, message, headers):
        sent += 1
        assert sent < 3
        headers = [*headers, (TAG_HEADER, "tag")]
    assert sent <= 1
