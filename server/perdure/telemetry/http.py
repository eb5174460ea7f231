"""The metrics endpoint, `/metrics`.

It is served by a thread of its own and rendered there: a scrape never holds up the event loop for
longer than the interpreter's switch interval.
"""

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from perdure.config import addresses
from perdure.config.errors import ConfigError
from perdure.telemetry import exposition
from perdure.telemetry.collectors import Metrics

_StartResponse = Callable[[str, list[tuple[str, str]]], object]


class MetricsEndpoint:
    """An open metrics port."""

    def __init__(self, server: ThreadingWSGIServer) -> None:
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, name="metrics", kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is open, whichever was asked for."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Closes the port; waits up to a tenth of a second for its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    metrics: Metrics,
    *,
    host: str,
    port: int,
    before_scrape: Callable[[], None] = lambda: None,
) -> MetricsEndpoint:
    """Opens the metrics port.

    Args:
        metrics: What to serve.
        host: The address to bind.
        port: 0 takes a free one.
        before_scrape: Called in the endpoint's thread before metrics are rendered, to set gauges.

    Raises:
        ConfigError: The address cannot be bound.
    """

    def application(environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in {"/", "/metrics"}:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"metrics are at /metrics\n"]
        before_scrape()
        if exposition.prefers_open_metrics(environ.get("HTTP_ACCEPT", "")):
            body, kind = exposition.open_metrics(metrics), exposition.OPENMETRICS_TYPE
        else:
            body, kind = exposition.text(metrics), exposition.TEXT_TYPE
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    try:
        server = make_server(
            host,
            port,
            application,
            server_class=_Ipv6Server if ":" in host else ThreadingWSGIServer,
            handler_class=_QuietHandler,
        )
    except OSError as error:
        raise ConfigError(_bind_sentence(host, port, error)) from error
    return MetricsEndpoint(server)


def _bind_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"metrics port {port} on {host} is in use: stop what uses it or give another port"
    place = addresses.join(host, port)
    return f"metrics cannot be served at {place}: {error.strerror or error}"


class _Ipv6Server(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Scrapes are not logged."""
