"""From aiohttp's exceptions to `Unavailable`: the border to the network."""

from __future__ import annotations

import aiohttp

from postroom.errors import Unavailable
from postroom.graph.call import Call
from postroom.graph.retry import CONNECT_FAILED

_NETWORK = "Check name resolution, the route and the proxy between here and Graph."
_TLS = (
    "The server's certificate is not trusted here: if a proxy inspects TLS, name its authority as the cloud's ca_file."
)


FAULTS = (aiohttp.ClientError, TimeoutError, OSError)
"""Whatever aiohttp raises for the network's sake."""


def fault(call: Call, error: Exception) -> Unavailable:
    """Return the error that stands for one of `FAULTS`: what happened, where, and what to do."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return _unavailable(call, "TlsFailed", f"no trusted connection could be made ({error})", _TLS)
        case aiohttp.ClientConnectorError() | aiohttp.ClientProxyConnectionError() | aiohttp.ConnectionTimeoutError():
            return _unavailable(call, CONNECT_FAILED, f"no connection could be made ({error})", _NETWORK)
        case TimeoutError():
            return _unavailable(call, "TimedOut", "Graph did not answer in time", _NETWORK)
        case aiohttp.ClientPayloadError():
            return _unavailable(call, "Truncated", "the answer broke off or could not be unpacked", _NETWORK)
        case aiohttp.ClientHttpProxyError():
            return _unavailable(call, "ProxyRefused", f"the proxy answered {error.status}", _NETWORK)
        case _:
            return _unavailable(call, "ConnectionLost", f"the connection broke ({type(error).__name__})", _NETWORK)


def _unavailable(call: Call, code: str, what: str, remedy: str) -> Unavailable:
    return Unavailable(f"While {call.doing}, {what}.", code=code, remedy=remedy, mailbox=call.mailbox)
