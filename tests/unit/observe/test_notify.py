import logging
import os
import socket
import time

import pytest

from postroom.observe.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    """The receiving end, with the environment that systemd would give the daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = (
            str(tmp_path / "notify") if request.param == "path" else f"\0postroom-{os.getpid()}-{time.monotonic_ns()}"
        )
        listener.bind(name)
        listener.settimeout(5)
        yield listener, {"NOTIFY_SOCKET": name.replace("\0", "@")}


def received(listener):
    return dict(line.split("=", 1) for line in listener.recv(65536).decode().splitlines())


def test_each_state_arrives_as_its_own_datagram(systemd):
    listener, environ = systemd
    notifier = Notifier(environ)
    assert notifier.ready("2 mailboxes")
    assert received(listener) == {"READY": "1", "STATUS": "2 mailboxes"}
    notifier.status("busy")
    assert received(listener) == {"STATUS": "busy"}
    notifier.watchdog()
    assert received(listener) == {"WATCHDOG": "1"}
    notifier.stopping("draining")
    assert received(listener) == {"STOPPING": "1", "STATUS": "draining"}
    notifier.close()
    assert not notifier.watchdog()


def test_reloading_carries_the_present_monotonic_time(systemd):
    listener, environ = systemd
    notifier = Notifier(environ)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    said = received(listener)
    assert said["RELOADING"] == "1"
    assert before <= int(said["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.close()


def test_a_status_cannot_smuggle_in_another_field(systemd):
    listener, environ = systemd
    notifier = Notifier(environ)
    notifier.status("mailbox x\nREADY=1\nMAINPID=1")
    assert received(listener) == {"STATUS": "mailbox x READY=1 MAINPID=1"}
    notifier.close()


def test_without_a_socket_nothing_is_sent():
    notifier = Notifier({})
    assert not notifier.ready()
    assert notifier.watchdog_interval() is None
    notifier.close()


def test_the_variables_are_taken_from_children(systemd):
    _, environ = systemd
    environ |= {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
    notifier = Notifier(environ)
    assert environ == {"PATH": "/bin"}
    notifier.close()


def test_systemd_going_away_is_said_and_survived(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    with caplog.at_level(logging.WARNING):
        assert not notifier.ready()
    assert "READY=1" in caplog.text
    notifier.close()


def test_an_address_of_another_family_is_said_and_ignored(caplog):
    assert not Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready()
    assert "vsock:2:1234" in caplog.text


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_limit_when_it_is_ours(environ, interval):
    assert Notifier(environ).watchdog_interval() == interval
