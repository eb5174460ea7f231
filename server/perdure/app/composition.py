"""What is done with a configuration: checking it, and serving until told to stop."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from perdure.app.announce import announce
from perdure.app.node import start_node
from perdure.config.errors import ConfigError
from perdure.config.file import ConfigFile
from perdure.config.settings import Problem, resolve
from perdure.config.static import ALL_ROLES, ServerConfig
from perdure.telemetry import logging


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
        node = await start_node(config, values, parts)
        announce(node.places, notes=remarks)
        await stop.wait()
        node.log.info("stopping")


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
