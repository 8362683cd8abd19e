"""How a host is reached: through which proxy, and trusting whom. The same for sign-in and for Graph."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from postroom.tenant import Cloud


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine, by name or by address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, configured: str = "") -> str:
    """Return the proxy to use for `url`, or an empty text.

    The configured proxy wins; without one HTTPS_PROXY and NO_PROXY count. This machine is never asked for by proxy.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return ""
    if configured:
        return configured
    found: dict[str, str] = _requests_utils().get_environ_proxies(url)
    return found.get(parts.scheme) or found.get("all", "")


def authorities(cloud: Cloud) -> Path:
    """Return the file or directory of certificate authorities to trust: the cloud's, else the system's, else certifi's.

    One answer for `requests` and for `ssl`, which left alone trust different ones.
    """
    if cloud.ca_file is not None:
        return cloud.ca_file
    system = ssl.get_default_verify_paths()
    return Path(system.cafile or system.capath or _requests_utils().DEFAULT_CA_BUNDLE_PATH)


def tls_context(cloud: Cloud) -> ssl.SSLContext:
    """Make the TLS context for Graph; raises OSError when the authorities cannot be read. Takes 30 ms: make one."""
    trusted = authorities(cloud)
    context = ssl.create_default_context(
        cafile=None if trusted.is_dir() else str(trusted), capath=str(trusted) if trusted.is_dir() else None
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _requests_utils() -> ModuleType:
    """Return `requests.utils`, which a sign-in loads in its thread: only a use of it should wait for that."""
    import requests.utils  # noqa: PLC0415 - see above

    return requests.utils
