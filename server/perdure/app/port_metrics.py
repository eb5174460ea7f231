"""What the gRPC ports tell metrics: how many connections they have."""

from collections.abc import Callable

from perdure.rpc.connections import count_connections
from perdure.telemetry import server_catalogue
from perdure.telemetry.collectors import Metrics


def follow_connections(metrics: Metrics, port: int) -> Callable[[], None]:
    """Returns what counts the connections to a port, for whoever reads metrics.

    Args:
        metrics: Those of the role whose port it is.
        port: The port's number.
    """
    series = metrics.gauge(server_catalogue.SERVICE_GRPC_CONN_ACTIVE).bind()
    return lambda: series.set(count_connections(port))
