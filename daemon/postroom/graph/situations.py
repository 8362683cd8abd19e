"""What Graph's error codes mean for a mailbox, and what an operator can do: a table, no decisions.

Sources: the Graph error reference, the EWS response codes that Outlook inherits, and codes seen from the live service.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroom.errors import (
    Conflict,
    Forbidden,
    GraphError,
    NotFound,
    QuotaExceeded,
    Refused,
    ResyncRequired,
    Throttled,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Situation:
    """The error class of a situation and its remedy; `parks` as in `GraphError`."""

    kind: type[GraphError]
    remedy: str = ""
    parks: str = ""


TOKEN_REFUSED = Situation(
    Forbidden,
    "Check that the tenant and the cloud of the token match the mailbox's, and that this host's clock is right.",
)
CLAIMS_CHALLENGE = Situation(
    Forbidden,
    "A Conditional Access policy asks for more than an app can prove: exclude the app's service principal from it.",
)
OUT_OF_SCOPE = Situation(
    Forbidden,
    "The app may not open this mailbox: add it to the scope of the app's role assignment (RBAC for Applications) or "
    "to the application access policy, verify with Test-ServicePrincipalAuthorization, and allow up to two hours.",
    "is out of the app's scope",
)
NO_PERMISSION = Situation(
    Forbidden,
    "Grant the app Mail.Read (Mail.ReadWrite for mail actions) with admin consent, or a role of RBAC for Applications; "
    "a changed grant takes up to two hours.",
    "may not be opened by the app",
)
SUBSCRIPTION_LAPSED = Situation(
    Forbidden,
    "The tenant's Microsoft 365 subscription has lapsed: renew it, then wait an hour.",
    "is in a tenant whose subscription has lapsed",
)
NO_MAILBOX = Situation(
    Forbidden,
    "The account has no active Exchange Online mailbox: give it a licence (or make it a shared mailbox), restore it if "
    "it was deleted, or leave it out if it is on-premises or a guest.",
    "has no licence or is not active",
)
UNKNOWN_MAILBOX = Situation(
    NotFound,
    "Check the address, and that the mailbox is in this tenant; use its primary address or object id.",
    "is not in the tenant",
)
NO_ROOT_FOLDER = Situation(
    Unavailable,
    "The mailbox was never set up: open it once in Outlook, which makes its folders.",
    "has no folders yet",
)
MOVING = Situation(
    Unavailable,
    "Exchange is moving the mailbox to other servers; that passes by itself in minutes to hours.",
    "is being moved",
)
QUOTA = Situation(
    QuotaExceeded,
    "The mailbox is full: empty it, archive, or raise its quota. Until then it is read by listing, not by delta.",
)
CORRUPT = Situation(
    Refused, "Exchange cannot read this item, and will not later: open it in Outlook, or move it out of the folder."
)
TRANSIENT = Situation(Unavailable, "This is a fault at Microsoft that passes by itself.")
BUSY = Situation(Throttled, "Nothing, unless it lasts: then poll less often or run fewer handlers at once.")
NOT_GRAPH = Situation(
    Unavailable,
    "The answer is not Graph's own. If it lasts, look for a proxy or firewall between here and Graph.",
)
REDIRECTED = Situation(
    Unavailable, "Graph does not redirect these requests: look for a proxy or a login portal in between."
)
RESYNC = Situation(ResyncRequired, "Nothing: the folder is listed again, and known mail is not handled twice.")

BY_CODE = {
    "invalidauthenticationtoken": TOKEN_REFUSED,
    "insufficientclaims": CLAIMS_CHALLENGE,
    "insufficient_claims": CLAIMS_CHALLENGE,
    "authenticationerror": Situation(
        Forbidden, f"{NO_PERMISSION.remedy} A missing licence shows like this too.", NO_PERMISSION.parks
    ),
    "erroraccessdenied": NO_PERMISSION,
    "authorization_requestdenied": NO_PERMISSION,
    "accessdenied": NO_PERMISSION,
    "errorsendasdenied": Situation(Forbidden, "Give the mailbox the right to send as that address."),
    "extensionerror": Situation(
        Forbidden, "A policy of the tenant, or a mailbox that is on-premises, stands in the way.", NO_PERMISSION.parks
    ),
    "errorquotaexceeded": QUOTA,
    "quotalimitreached": QUOTA,
    "mailboxnotenabledforrestapi": NO_MAILBOX,
    "mailboxnothostedinexchangeonline": NO_MAILBOX,
    "errorinvaliduser": UNKNOWN_MAILBOX,
    "request_resourcenotfound": UNKNOWN_MAILBOX,
    "resourcenotfound": Situation(
        NotFound, f"{UNKNOWN_MAILBOX.remedy} A missing licence shows like this too.", UNKNOWN_MAILBOX.parks
    ),
    "errornonexistentmailbox": UNKNOWN_MAILBOX,
    "erroritemnotfound": Situation(NotFound),
    "itemnotfound": Situation(NotFound),
    "errorfoldernotfound": Situation(NotFound, "Check the folder's name in the configuration."),
    "errorsyncfoldernotfound": Situation(NotFound, "The folder is gone: make it again or change the configuration."),
    "errorinvalididmalformed": Situation(Refused, "The id is not one of this mailbox's; it may be of another type."),
    "errorinvalidmailboxitemid": Situation(Refused, "The id belongs to another mailbox."),
    "errorinvalidurlquery": Situation(Refused),
    "errormailboxmoveinprogress": MOVING,
    "mailboxintransit": MOVING,
    "errormailboxintransit": MOVING,
    "errormailboxstoreunavailable": TRANSIENT,
    "errormailboxfailover": TRANSIENT,
    "errorinternalservertransienterror": TRANSIENT,
    "errorinternalservererror": TRANSIENT,
    "errortimeoutexpired": TRANSIENT,
    "errorserverbusy": BUSY,
    "errorexceededconnectioncount": BUSY,
    "errortoomanyobjectsopened": BUSY,
    "applicationthrottled": BUSY,
    "mailboxconcurrency": BUSY,
    "toomanyrequests": BUSY,
    "activitylimitreached": BUSY,
    "servicenotavailable": TRANSIENT,
    "serviceunavailable": TRANSIENT,
    "generalexception": TRANSIENT,
    "unknownerror": TRANSIENT,
    "errorcorruptdata": CORRUPT,
    "errorinvalidrecipients": CORRUPT,
    "errorcannotopenfileattachment": Situation(Refused, "Exchange cannot convert this attachment, and will not later."),
    "errorirresolvableconflict": Situation(Conflict),
    "errorfolderexists": Situation(Conflict),
    "errormessagesizeexceeded": Situation(Refused, "The message is larger than the mailbox may send."),
    "resyncrequired": RESYNC,
    "invalidsyncstatedata": RESYNC,
}
"""Code in lower case -> what it means, whatever the HTTP status."""

BY_STATUS = {
    401: TOKEN_REFUSED,
    403: Situation(Forbidden, NO_PERMISSION.remedy),
    404: Situation(NotFound),
    405: Situation(Refused, "A link to a file in the cloud has no content of its own."),
    408: TRANSIENT,
    409: Situation(Conflict),
    410: RESYNC,
    412: Situation(Conflict),
    413: Situation(Refused),
    423: Situation(Conflict),
    425: TRANSIENT,
    429: BUSY,
    507: QUOTA,
    509: BUSY,
}
"""HTTP status -> what it means when the code is unknown; any other 4xx is `Refused`, 5xx `TRANSIENT`."""

BY_HINT = (
    ("accessdenied", "[raop]", OUT_OF_SCOPE),
    ("accessdenied", "access to odata is disabled", OUT_OF_SCOPE),
    ("accessdenied", "apponly accesspolicy", OUT_OF_SCOPE),
    ("", "preventing tokens from being issued", SUBSCRIPTION_LAPSED),
    ("notfound", "default folder root not found", NO_ROOT_FOLDER),
)
"""(part of the code, part of the text, meaning): where only Graph's text tells two situations apart."""
