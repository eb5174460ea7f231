"""The `perdure` command."""

import click

from perdure.app.lazy import lazy_group, plugin_references
from perdure.config.version import VERSION

_SERVER = lazy_group(
    "server",
    "Run Perdure.",
    {
        "start": "perdure.app.start:start",
        "start-dev": "perdure.app.start_dev:start_dev",
    },
)
_CONFIG = lazy_group(
    "config",
    "Work with configuration.",
    {
        "check": "perdure.app.config_check:check",
        "settings": "perdure.app.config_settings:settings",
    },
)

main = lazy_group(
    "perdure",
    "Perdure: durable execution that speaks Temporal's public API.",
    plugin_references(),
)
main.context_settings = {"help_option_names": ["-h", "--help"]}
main.add_command(_SERVER)
main.add_command(_CONFIG)
click.version_option(
    VERSION, "-v", "--version", prog_name="perdure", message="%(prog)s %(version)s"
)(main)
