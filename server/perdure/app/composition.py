"""The composition root: puts a server together from its parts, and takes it apart again.

Parts start in the order in which they need each other (store, history, matching, frontend, gRPC
listener) and stop in the opposite one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from perdure.app.announce import announce
from perdure.app.launch import settle_garbage
from perdure.config.errors import ConfigError
from perdure.config.file import ConfigFile
from perdure.config.settings import Problem, Values, resolve
from perdure.config.static import ALL_ROLES, ServerConfig
from perdure.config.version import VERSION
from perdure.telemetry import logging, tracing
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.diagnostics import log_start
from perdure.telemetry.http import serve_metrics
from perdure.telemetry.process import ProcessMonitor


def check(read: ConfigFile) -> ServerConfig:
    """Returns the configuration of a file whose settings are all known and sound.

    Raises:
        ConfigError: Some are not; the message has a line for each, with file and line.
    """
    _, problems = resolve(read.config.settings)
    if problems:
        lines = (f"{read.where(('settings', p.key))}: {p.sentence}" for p in problems)
        raise ConfigError("\n".join(lines))
    return read.config


async def serve(
    config: ServerConfig, stop: asyncio.Event, *, strict: bool, remarks: Sequence[str] = ()
) -> None:
    """Serves until `stop` is set.

    Args:
        config: What to run, and where.
        stop: Ends the server gracefully.
        strict: Whether a setting that has no effect keeps the server from starting; else it is
            only warned of, as the real dev server does.
        remarks: Lines to print below the addresses.

    Raises:
        ConfigError: It cannot run as it is configured.
        StartupError: The store must not be used as it is.
    """
    logging.configure(config.logging.level, config.logging.format)
    values, problems = resolve(config.settings)
    _report(problems, strict=strict)
    _require_all_roles(config)
    async with AsyncExitStack() as parts:
        places = await _start(config, values, parts)
        settle_garbage()
        announce(places, notes=remarks)
        await stop.wait()


async def _start(config: ServerConfig, values: Values, parts: AsyncExitStack) -> dict[str, str]:
    log = logging.get_logger("server")
    loop = asyncio.get_running_loop()
    metrics = Metrics()
    places: dict[str, str] = {}
    monitor = ProcessMonitor(metrics, loop, config.roles)
    parts.callback(monitor.close)
    tracer = tracing.connect(endpoint=config.tracing.otlp_endpoint, service_version=VERSION)
    parts.callback(tracer.close)
    if config.metrics is not None:
        host = config.metrics.host
        endpoint = serve_metrics(metrics, host=host, port=config.metrics.port)
        parts.callback(endpoint.close)
        places["Metrics"] = f"http://{host}:{endpoint.port}/metrics"
    places["Database"] = config.store.describe()
    log_start(
        log,
        roles=config.roles,
        store=config.store.describe(),
        listeners=places,
        changed_settings=values.changed(),
    )
    return places


def _report(problems: Sequence[Problem], *, strict: bool) -> None:
    sentences = [problem.sentence for problem in problems]
    if strict and sentences:
        raise ConfigError("\n".join(sentences))
    for sentence in sentences:
        logging.get_logger("config").warning(sentence)


def _require_all_roles(config: ServerConfig) -> None:
    missing = [role for role in ALL_ROLES if role not in config.roles]
    if missing:
        raise ConfigError(
            f"a node without {', '.join(missing)} cannot run: roles on machines of their own are"
            " not supported yet, so leave out --role and roles:"
        )
