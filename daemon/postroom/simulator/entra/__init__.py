"""The simulated Entra: app registrations and their credentials, tokens signed for real, and AADSTS refusals.

`directory` holds the state, `credentials` and `assertions` judge a sign-in, `tokens` makes and reads access tokens,
`errors` words the refusals, `routes` is the HTTP in front, `interactive` what is refused there; `managed` is what a
machine in Azure asks. Source throughout: the Entra identity-platform docs.
"""

from __future__ import annotations

from postroom.simulator.entra.answers import refusal
from postroom.simulator.entra.directory import App, ClientSecret, Directory, FederatedCredential, ManagedIdentity
from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.federation import Federation
from postroom.simulator.entra.managed import managed_identity_routes
from postroom.simulator.entra.routes import entra_routes
from postroom.simulator.entra.service import Entra
from postroom.simulator.entra.tokens import BearerRefused

__all__ = [
    "App",
    "BearerRefused",
    "ClientSecret",
    "Directory",
    "Entra",
    "EntraError",
    "FederatedCredential",
    "Federation",
    "ManagedIdentity",
    "entra_routes",
    "managed_identity_routes",
    "refusal",
]
