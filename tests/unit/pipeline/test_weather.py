"""What failures of one cause have in common, and what is about the one mail alone."""

from __future__ import annotations

import pytest

from postroom.errors import TemporaryError, Throttled
from postroom.model import Retry
from postroom.pipeline.weather import failure, is_defect, kind_of
from postroom.testing import make_message
from postroom.testing.clock import START
from support.pipeline import delivery

ALIKE = [
    ("https://erp.example could not be reached: Connection refused.", "https://erp.example could not be reached: x."),
    ("https://erp.example answered 503.", "https://erp.example answered 502."),
    ("TimedOut: no answer within 5 s", "TimedOut: no answer within 60 s, and it cannot be stopped"),
    ("/usr/bin/post ended with exit code 75: mail 1 refused", "/usr/bin/post ended with exit code 75: mail 2 refused"),
    (f"TemporaryError: {TemporaryError('row 12 is locked')}", f"TemporaryError: {TemporaryError('row 99 is locked')}"),
    ("Crashed: KeyError: 'Anna' at /srv/erp.py:12 in handle", "Crashed: KeyError: 'Berta' at /srv/erp.py:12 in handle"),
]

DIFFERENT = [
    ("https://erp.example answered 503.", "https://erp.example could not be reached: Connection refused."),
    ("Crashed: KeyError: 'x' at /srv/erp.py:12 in handle", "Crashed: ValueError: 'x' at /srv/erp.py:12 in handle"),
    ("Crashed: KeyError: 'x' at /srv/erp.py:12 in handle", "Crashed: KeyError: 'x' at /srv/erp.py:13 in handle"),
    ("TimedOut: no answer within 5 s", "TemporaryError: no answer"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_failures_of_one_cause_are_alike(one, other):
    assert kind_of(one) == kind_of(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_failures_of_different_causes_are_not(one, other):
    assert kind_of(one) != kind_of(other)


def test_a_failure_of_graph_may_be_that_of_the_mailbox_alone():
    throttled = Retry(f"Throttled: {Throttled('busy')}", after=20.0)
    assert failure(throttled, delivery(), START).of_mailbox
    assert failure(throttled, delivery(), START).after == 20.0
    assert not failure(Retry("later"), delivery(), START).of_mailbox


def test_copies_of_a_mail_are_known_by_what_their_sender_called_it():
    copies = [delivery(message=make_message(internet_message_id="<1@x>")) for _ in range(2)]
    assert {failure(Retry("x"), each, START).mail for each in copies} == {"<1@x>"}
    unnamed = make_message(internet_message_id="")
    assert failure(Retry("x"), delivery(message=unnamed), START).mail == unnamed.id


def test_what_a_crash_says_of_the_mail_is_not_repeated():
    crash = Retry("Crashed: ValueError: the salary of Anna at /srv/erp.py:12 in handle")
    assert "salary" not in failure(crash, delivery(), START).reason


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Crashed: ValueError: ? at h.py:7 in handle", True),
        ("Crashed: KeyError: 'x'", True),
        ("Crashed: ConnectionResetError: gone at h.py:7 in handle", False),
        ("Crashed: TimeoutError", False),
        ("Crashed: OSError: [Errno 28] No space left on device", False),
        ("Unavailable: down", False),
        ("waiting for approval", False),
    ],
)
def test_a_crash_that_nothing_outside_explains_is_a_defect(reason, expected):
    assert is_defect(reason) is expected
