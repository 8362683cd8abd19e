"""The types of settings that say where or when: addresses, folders, URLs, starting points. See `fields`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from postroom.config.fields import NonEmpty, refuse
from postroom.config.problems import Id

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_GUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DOMAIN = r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+"
_ADDRESS = re.compile(r"[^@\s/?#%]{1,64}@[^@\s/?#%]{1,255}|" + _GUID)


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        refuse(
            Id.BAD_ADDRESS,
            "{value} is neither a mail address nor an object id; write only the address, like invoices@contoso.example",
        )
    return text


MailboxAddress = Annotated[str, AfterValidator(_address)]
"""An SMTP address, or the object id of the user."""


def with_braces(text: str) -> str:
    """Refuse ``$NAME``: a shell would put the variable in, and here it would be taken as it stands."""
    if re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*", text):
        refuse(Id.BAD_VARIABLE, "this is no variable as it stands; write it with braces, ${{NAME}}")
    return text


def _tenant_id(text: str) -> str:
    if not re.fullmatch(f"{_GUID}|{_DOMAIN}", text):
        refuse(
            Id.BAD_ID,
            "{value} is no directory id; write the Directory (tenant) ID of the app registration's overview, or a "
            "domain of the tenant such as contoso.onmicrosoft.com",
        )
    return text


def _client_id(text: str) -> str:
    if not re.fullmatch(_GUID, text):
        refuse(
            Id.BAD_ID,
            "{value} is no application id; write the Application (client) ID of the app registration's overview, "
            "which looks like 22222222-2222-2222-2222-222222222222",
        )
    return text


TenantId = Annotated[NonEmpty, AfterValidator(with_braces), AfterValidator(_tenant_id)]
"""The GUID of a directory, or one of its domains."""

ClientId = Annotated[NonEmpty, AfterValidator(with_braces), AfterValidator(_client_id)]
"""The GUID of an app or of a managed identity."""


def _folder(text: str) -> str:
    if not text or any(not part.strip() for part in text.split("/")):
        refuse(Id.BAD_FOLDER, "{value} has an empty part; write a name such as Inbox, or a path such as Inbox/Invoices")
    return text


Folder = Annotated[str, AfterValidator(_folder)]
"""A well-known folder name, or a path such as ``Inbox/Done``."""


def _parts(text: str) -> SplitResult | None:
    """Split a URL of http or https that has a host; None when it is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname and parts.scheme in ("http", "https") else None


def _url(text: str) -> str:
    parts = _parts(text)
    if parts is None:
        refuse(Id.BAD_URL, "{value} is not a web address; write it like https://graph.microsoft.com")
    if parts.username is not None or parts.query or parts.fragment:
        refuse(Id.BAD_URL, "a base URL is only scheme, host and port; write it like https://graph.microsoft.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        refuse(Id.BAD_URL, "{value} would send tokens in the clear; write https:// (http:// is for this machine only)")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""``https://host``, or ``http://`` on this machine."""


def _proxy(text: str) -> str:
    if _parts(text) is None:
        refuse(Id.BAD_URL, "this is not the address of a proxy; write it like http://proxy.example:3128")
    return text


ProxyUrl = Annotated[str, AfterValidator(_proxy), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""``http://host:port``. It may hold a password and is never shown; what goes through it is encrypted all the same."""


def _start(value: Any) -> Any:
    if value in ("now", "all"):
        return value
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else None
        if when is not None:
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    return refuse(Id.BAD_START, "{value} is no starting point; write now, all, or a date such as 2026-01-31")


Start = Annotated[
    Literal["now", "all"] | datetime,
    BeforeValidator(_start),
    WithJsonSchema({"anyOf": [{"enum": ["now", "all"]}, {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}"}]}),
]
"""``now``, ``all`` or a date, taken as UTC unless it says otherwise."""


def _journal(text: str) -> str:
    scheme, _, file = text.partition(":///")
    if scheme == "sqlite" and file.partition("?")[0] in {"", ":memory:"}:
        refuse(Id.BAD_JOURNAL, "a journal in memory forgets all mail at the next start; write sqlite:///FILE")
    if "\0" in text or not (scheme == "sqlite" or re.match(r"postgresql(\+[a-z0-9]+)?://.", text)):
        refuse(Id.BAD_JOURNAL, "this is not the URL of a journal; write sqlite:///FILE, or sqlite:////absolute/FILE")
    return text


JournalUrl = Annotated[
    str, AfterValidator(_journal), WithJsonSchema({"type": "string", "pattern": "^(sqlite:///|postgresql)"})
]
"""A SQLAlchemy URL. It may hold a password and is never shown."""


def _listen(text: str) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):(\d{1,5})", text, re.ASCII)
    if found is None or int(found[2]) >= 2**16:
        refuse(Id.BAD_LISTEN, "{value} is no place to listen; write host:port, such as 127.0.0.1:8642 or [::1]:8642")
    return text


ListenAddress = Annotated[
    str,
    AfterValidator(_listen),
    WithJsonSchema({"type": "string", "pattern": r":\d{1,5}$", "examples": ["127.0.0.1:8642"]}),
]
"""``host:port``."""
