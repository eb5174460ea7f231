"""The lines that a server logs when it starts: enough to know what runs, and how."""

import platform
from collections.abc import Mapping, Sequence

from perdure.config.version import VERSION
from perdure.telemetry.logging import Logger


def log_start(
    log: Logger,
    *,
    roles: Sequence[str],
    store: str,
    listeners: Mapping[str, str],
    changed_settings: Mapping[str, object],
) -> None:
    """Logs version, roles, store, listeners, and each setting that is not at its default."""
    log.info(
        "Perdure has started",
        version=VERSION,
        python=platform.python_version(),
        roles=",".join(roles),
        store=store,
        **listeners,
    )
    for key, value in changed_settings.items():
        log.info("setting differs from its default", key=key, value=value)
