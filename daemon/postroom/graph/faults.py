"""From aiohttp's exceptions to `Unavailable`: the border to the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from postroom.errors import Unavailable
from postroom.graph.call import Call
from postroom.graph.retry import CONNECT_FAILED

_NETWORK = "Check name resolution, the route and the proxy between here and Graph."
_TLS = (
    "The server's certificate is not trusted here: if a proxy inspects TLS, name its authority as the cloud's ca_file."
)


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Raise Unavailable, with what happened and where, for any fault of the network within the block."""
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise _unavailable(call, "TlsFailed", f"no trusted connection could be made ({error})", _TLS) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError, aiohttp.ConnectionTimeoutError) as error:
        raise _unavailable(call, CONNECT_FAILED, f"no connection could be made ({error})", _NETWORK) from error
    except TimeoutError as error:
        raise _unavailable(call, "TimedOut", "Graph did not answer in time", _NETWORK) from error
    except aiohttp.ClientPayloadError as error:
        raise _unavailable(call, "Truncated", "the answer broke off or could not be unpacked", _NETWORK) from error
    except aiohttp.ClientHttpProxyError as error:
        raise _unavailable(call, "ProxyRefused", f"the proxy answered {error.status}", _NETWORK) from error
    except (aiohttp.ClientError, OSError) as error:
        raise _unavailable(
            call, "ConnectionLost", f"the connection broke ({type(error).__name__})", _NETWORK
        ) from error


def _unavailable(call: Call, code: str, what: str, remedy: str) -> Unavailable:
    return Unavailable(f"While {call.doing}, {what}.", code=code, remedy=remedy, mailbox=call.mailbox)
