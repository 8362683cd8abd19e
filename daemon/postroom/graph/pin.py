"""The token goes to the configured Graph host and nowhere else: pure checks on URLs and links."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from postroom.errors import Refused
from postroom.graph.network import is_loopback

_PORTS = {"https": 443, "http": 80}


class Pin:
    """The one origin that may see the token.

    Args:
        root: Root of Graph, such as ``https://graph.microsoft.com``; plain http only on loopback.

    Raises:
        Refused: The root is not https, or not a URL.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._prefix = f"{self._root}/"
        self._origin = _origin(_split(self._root))
        scheme, host, _ = self._origin
        if not host or scheme not in _PORTS or (scheme == "http" and not is_loopback(host)):
            raise Refused(
                f"Graph's root {self._root} is not an https address, and the token is sent nowhere else.",
                code="NotPinned",
                remedy="Give the cloud's graph URL with https; plain http is allowed on loopback only.",
            )

    def check(self, url: str, mailbox: str = "") -> None:
        """Raise Refused unless `url` is on the pinned scheme, host and port, and fit to be sent as it is."""
        if url.startswith(self._prefix) and _printable(url):
            return
        parts = _split(url)
        if _printable(url) and parts.username is None and _origin(parts) == self._origin:
            return
        raise Refused(
            f"A link to {parts.scheme}://{parts.hostname or ''} was not followed: the token is only for {self._root}.",
            code="NotPinned",
            remedy="Check the cloud's graph URL, and that nothing between here and Graph rewrites answers.",
            mailbox=mailbox or None,
        )


def _printable(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def _split(url: str) -> SplitResult:
    """Split a URL; one that cannot be split has no host, and so never matches."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)
