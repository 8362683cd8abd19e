"""Graph mail v1.0 over the mailboxes of the simulated tenant: HTTP only, one file a resource.

Mount `graph_routes` with `graph_middlewares` as an application under ``/v1.0``. Faults belong in front of it.
"""

from postroom.simulator.graph.answers import Before, graph_middlewares
from postroom.simulator.graph.call import Caller
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.routes import graph_routes

__all__ = ["Before", "Caller", "GraphFault", "graph_middlewares", "graph_routes"]
