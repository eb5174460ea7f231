"""What is done with a configuration: checking it, and serving until told to stop."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from perdure.app.announce import announce
from perdure.app.node import start_node
from perdure.app.parent import Parent
from perdure.app.planning import plan
from perdure.app.tls import check_files
from perdure.config import dynamic
from perdure.config.errors import ConfigError
from perdure.config.file import ConfigFile
from perdure.config.settings import Problem, resolve
from perdure.config.static import ServerConfig
from perdure.runtime.clock import SystemClock
from perdure.telemetry import logging


def check(read: ConfigFile) -> ServerConfig:
    """Returns the configuration of a file that can run and whose settings are all known and sound.

    Raises:
        ConfigError: It is not; the message has a line for each mistake, with file and line.
    """
    plan(read)
    values, problems = resolve(read.config.settings)
    if problems:
        lines = (f"{read.where(('settings', p.key))}: {p.sentence}" for p in problems)
        raise ConfigError("\n".join(lines))
    if path := read.config.dynamic_settings.path:
        dynamic.read(Path(path), beneath=values)
    check_files(read.config, clock=SystemClock())
    return read.config


async def serve(
    config: ServerConfig,
    stop: asyncio.Event,
    parent: Parent,
    *,
    strict: bool,
    remarks: Sequence[str] = (),
) -> None:
    """Serves until `stop` is set.

    Args:
        config: What to run, and where.
        stop: Ends the server gracefully.
        parent: Told when it serves. A supervisor speaks for its processes, so that they print
            nothing but their logs.
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
    async with AsyncExitStack() as parts:
        node = await start_node(config, values, parts)
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        ready: asyncio.Future[Any] = asyncio.ensure_future(node.ready())
        parts.callback(stopping.cancel)
        parts.callback(ready.cancel)
        await asyncio.wait([ready, stopping, node.failed], return_when=FIRST_COMPLETED)
        if ready.done():
            ready.result()
            if not parent.supervises:
                announce(node.places, notes=remarks)
            parent.ready()
        await asyncio.wait([stopping, node.failed], return_when=FIRST_COMPLETED)
        parent.stopping()
        node.log.info("stopping")
        if node.failed.done():
            node.failed.result()


def _report(problems: Sequence[Problem], *, strict: bool) -> None:
    sentences = [problem.sentence for problem in problems]
    if strict and sentences:
        raise ConfigError("\n".join(sentences))
    for sentence in sentences:
        logging.get_logger("config").warning(sentence)
