"""TLS of this process, as its configuration has it: wired to metrics, log and whoever follows it.

What reads certificates is imported only where there are some: it takes 15 MB.
"""

import ssl
from collections.abc import Callable
from typing import NamedTuple

from perdure.app.tls_metrics import TlsMetrics, follow_expiry
from perdure.config.errors import ConfigError
from perdure.config.static import ServerConfig
from perdure.config.tls import ServerTls
from perdure.rpc.tls.files import BrokenFilesError
from perdure.rpc.tls.security import PLAIN, NodeSecurity
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.collectors import Metrics


class ProcessTls(NamedTuple):
    """What the parts of a process are given.

    Attributes:
        node: Of its gRPC ports and connections.
        scraped: Returns what the metrics port shows now; None where that is plain.
        sample: Sets gauges before they are read.
    """

    node: NodeSecurity = PLAIN
    scraped: Callable[[], ssl.SSLContext] | None = None
    sample: Callable[[], None] = lambda: None


def is_used(config: ServerConfig) -> bool:
    """Tells whether any port has TLS."""
    tls = config.global_.tls
    return any(
        each.given
        for each in (tls.frontend.server, tls.internode.server, tls.system_worker, scraped(config))
    )


def scraped(config: ServerConfig) -> ServerTls:
    """Returns the section `metrics.tls`."""
    return ServerTls() if config.metrics is None else config.metrics.tls


def open_tls(config: ServerConfig, *, clock: Clock, tasks: TaskSet, metrics: Metrics) -> ProcessTls:
    """Reads the certificates, and follows their files from then on.

    Raises:
        ConfigError: They cannot be used; each mistake is a line.
    """
    if not is_used(config):
        return ProcessTls()
    from perdure.rpc.tls.following import TlsFiles  # noqa: PLC0415
    from perdure.rpc.tls.serving import node_security, scraped_context  # noqa: PLC0415

    tls = config.global_.tls
    observer = TlsMetrics(metrics, clock, tls.expiration_checks)
    try:
        files = TlsFiles(tls, scraped(config), clock=clock, observer=observer)
    except BrokenFilesError as error:
        raise broken(error) from None
    tasks.spawn("follow-certificates", files.follow())
    tasks.spawn("follow-expiry", follow_expiry(observer, tls.expiration_checks))
    return ProcessTls(node_security(files), scraped_context(files), observer.sample)


def check_files(config: ServerConfig, *, clock: Clock) -> None:
    """Checks the files of a configuration that does not run.

    Raises:
        ConfigError: They cannot be used; each mistake is a line.
    """
    if not is_used(config):
        return
    from perdure.rpc.tls.certificates import from_nanoseconds  # noqa: PLC0415
    from perdure.rpc.tls.loading import load  # noqa: PLC0415

    try:
        load(config.global_.tls, scraped(config), now=from_nanoseconds(clock.now()))
    except BrokenFilesError as error:
        raise broken(error) from None


def broken(error: BrokenFilesError) -> ConfigError:
    """Returns what to say of files that cannot be used."""
    return ConfigError("\n".join(str(problem) for problem in error.problems))
