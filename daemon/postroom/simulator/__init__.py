"""The simulated tenant: Entra, Graph mail and an SMTP door on loopback, for the demo, for tests and for trying things.

It is a second, independent reading of Microsoft's contract and shares no code with the daemon's own Graph client, so
that each checks the other. State (`state`, `entra`), HTTP (`graph`, `entra.routes`) and faults (`faults`) stand apart;
`server` puts them together.
"""
