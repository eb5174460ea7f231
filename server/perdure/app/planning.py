"""From a configuration file to the processes of this host; imports no part of a server."""

import socket
from collections.abc import Sequence

from perdure.config import processes
from perdure.config.errors import ConfigError
from perdure.config.file import ConfigFile
from perdure.config.processes import CannotRun, Process
from perdure.config.static import Role


def plan(read: ConfigFile, *, roles: Sequence[Role] = ()) -> list[Process]:
    """Returns the processes of a file.

    Args:
        read: The file.
        roles: What the one process does, instead of what the file says.

    Raises:
        ConfigError: They cannot run; the message has file and line.
    """
    config = read.config
    if roles:
        if config.processes:
            raise ConfigError(
                "--role has no effect on processes: of the file; choose one by --process"
            )
        config = config.model_copy(update={"roles": list(roles)})
    try:
        return processes.plan(config, host_name=socket.gethostname())
    except CannotRun as error:
        if roles and error.location == ("roles",):
            raise
        raise ConfigError(f"{read.where(error.location)}: {error}") from error
