"""Graph mail v1.0 over the mailboxes of the simulated tenant: HTTP only, one file a resource.

Mount `graph_routes` with `graph_middlewares` as an application under ``/v1.0``, and `upload_application` under
`UPLOADS`. Faults belong in front of both.
"""

from postroom.simulator.graph.answers import Before, graph_middlewares
from postroom.simulator.graph.call import Caller
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.routes import graph_routes
from postroom.simulator.graph.uploads import UPLOADS, upload_application

__all__ = ["UPLOADS", "Before", "Caller", "GraphFault", "graph_middlewares", "graph_routes", "upload_application"]
