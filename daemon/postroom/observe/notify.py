"""The line to systemd: the sd_notify(3) datagram protocol. Silent when nobody listens."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

_log = logging.getLogger(__name__)

SEND_LIMIT = 1.0
"""Seconds a datagram may wait for room in systemd's queue."""


class Notifier:
    """Tells the service manager how the daemon is; every method returns whether that was delivered.

    The variables are taken out of the environment, so that commands run by handlers cannot speak for the daemon.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._watchdog = _watchdog_interval(environ)
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)
        self._socket = _connect(self._address)

    def watchdog_interval(self) -> float | None:
        """Return how often to call `watchdog`, in seconds: half of what systemd allows. None: no watchdog."""
        return self._watchdog

    def ready(self, status: str = "") -> bool:
        """Say that start-up, or a reload, is finished."""
        return self._send("READY=1", *_status(status))

    def status(self, status: str) -> bool:
        """Say in a few words what is going on; `systemctl status` shows it."""
        return self._send(*_status(status))

    def reloading(self) -> bool:
        """Say that a reload has begun; `ready` ends it. The time stamp is what ``Type=notify-reload`` insists on."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """Say that the daemon is on its way out."""
        return self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> bool:
        """Say that work gets done; without it for too long, systemd ends the daemon and starts it anew."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *fields: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(fields).encode("utf-8", "replace"), _path(self._address))
        except OSError as error:  # systemd away or its queue full: no reason to stop handling mail
            _log.warning("systemd could not be told %s: %s", fields[0], error)
            return False
        return True


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _connect(address: str) -> socket.socket | None:
    if address[:1] not in ("/", "@"):
        if address:
            _log.warning("NOTIFY_SOCKET %s is neither a path nor an abstract socket; systemd is not notified.", address)
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    sock.settimeout(SEND_LIMIT)
    return sock


def _path(address: str) -> str:
    return f"\0{address[1:]}" if address.startswith("@") else address


def _watchdog_interval(environ: MutableMapping[str, str]) -> float | None:
    """Half of WATCHDOG_USEC, as sd_watchdog_enabled(3) recommends, when it is meant for this process."""
    allowed, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not allowed.isdecimal() or int(allowed) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(allowed) / 2_000_000
