"""The HTTP client lent to MSAL: with time limits, our proxy, our authorities, and a memory of the last answer.

MSAL's own client has no time limit and reads proxies and CA bundles from the environment.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from postroom.graph.login_patience import IMDS_PAUSES
from postroom.graph.network import authorities, proxy_for
from postroom.tenant import ManagedIdentity, Tenant

_IMDS_RETRY = frozenset({404, 410, 429})


class NotEntra(requests.exceptions.RequestException):
    """The answer is not JSON: it comes from something between here and Entra."""


class LoginHttp(requests.Session):
    """A session for one tenant's sign-in; used by one thread. `last` is the last answer's status and JSON object.

    Args:
        timeout: Seconds for one connection attempt or one silence.
        closing: Once set, nothing is waited for any more between two tries.
    """

    def __init__(self, tenant: Tenant, timeout: float, closing: threading.Event) -> None:
        super().__init__()
        self.last: tuple[int, Mapping[str, Any]] = (0, {})
        self._closing = closing
        self.trust_env = False
        self.max_redirects = 0
        self.verify = str(authorities(tenant.cloud))
        self._timeout = timeout
        local = isinstance(tenant.credential, ManagedIdentity)
        self._pauses = IMDS_PAUSES if local else ()
        if not local and (proxy := proxy_for(tenant.cloud.login, tenant.proxy)):
            self.proxies = {"https": proxy, "http": proxy}
        self.mount("https://", HTTPAdapter(max_retries=0 if local else 1))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send with a time limit and without following redirects; a host's identity endpoint is asked repeatedly."""
        kwargs.setdefault("timeout", self._timeout)
        kwargs["allow_redirects"] = False
        for pause in self._pauses:
            try:
                response = super().request(method, url, *args, **kwargs)
            except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
                if self._closing.wait(pause):
                    raise
                continue
            if response.status_code < 500 and response.status_code not in _IMDS_RETRY:  # noqa: PLR2004 - server errors
                return self._seen(response)
            self._closing.wait(pause)
        return self._seen(super().request(method, url, *args, **kwargs))

    def _seen(self, response: requests.Response) -> requests.Response:
        """Keep what the answer said: of a server error MSAL reports the status alone. Raises NotEntra."""
        try:
            document = json.loads(response.text)
        except ValueError as error:
            self.last = (response.status_code, {})
            raise NotEntra(f"{response.status_code} without JSON") from error
        self.last = (response.status_code, document if isinstance(document, dict) else {})
        return response
