"""The simulated tenant: Entra, Graph mail and an SMTP door on loopback, for the demo, for tests and for trying things.

It is a second, independent reading of Microsoft's contract and shares no code with the daemon's own Graph client, so
that each checks the other. State (`state`, `entra`), HTTP (`graph`, `entra.routes`) and faults (`faults`) stand apart;
`server` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postroom.simulator.server import SimulatedTenant

__all__ = ["SimulatedTenant"]


def __getattr__(name: str) -> Any:
    """Load the server when somebody asks for it: who only needs a certificate or a mail loads none."""
    if name != "SimulatedTenant":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from postroom.simulator.server import SimulatedTenant  # noqa: PLC0415 - see above

    return SimulatedTenant
