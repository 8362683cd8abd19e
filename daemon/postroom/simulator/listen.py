"""Places to listen: read from text, bound before anything else starts, so that every port is known at once."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from postroom.errors import PostroomError

_PLACE = re.compile(r"\[([0-9a-fA-F:.]+)\]:(\d{1,5})|([^\s:\[\]/]+):(\d{1,5})")
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Place:
    """A host and a port; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def parse_place(text: str) -> Place:
    """Read ``host:port`` or ``[::1]:port``; raises ValueError."""
    found = _PLACE.fullmatch(text)
    if found is None or int(found[2] or found[4]) > _HIGHEST_PORT:
        raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:8443 or [::1]:0")
    return Place(found[1] or found[3], int(found[2] or found[4]))


def bind(place: Place) -> socket.socket:
    """Return a TCP socket bound to `place`, not yet listening; raises PostroomError when that cannot be done."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot(place, error) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _cannot(place, error) from error
    return sock


def reached_as(place: Place, sock: socket.socket) -> Place:
    """Return where clients reach a bound socket: its real port, and a name in place of "every address"."""
    wild = place.host in ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
    return Place(socket.gethostname() if wild else place.host, sock.getsockname()[1])


def _cannot(place: Place, error: OSError) -> PostroomError:
    return PostroomError(
        f"Cannot listen on {place}: {os.strerror(error.errno) if error.errno and error.errno > 0 else error}.",
        remedy="Choose another address or port; port 0 takes a free one.",
    )
