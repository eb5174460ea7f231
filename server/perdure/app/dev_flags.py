"""The flags of the real dev server that Perdure accepts without acting on them."""

from collections.abc import Callable, Sequence

import click
from click.core import ParameterSource

PORT = click.IntRange(0, 65535)
Command = Callable[..., None]
_OF_THE_CLIENT = (
    *("--client-connect-timeout", "--color", "--command-timeout", "--config-file", "--env"),
    *("--env-file", "--output", "--profile", "--time-format"),
)
_SWITCHES_OF_THE_CLIENT = (
    "--disable-config-env",
    "--disable-config-file",
    "--no-json-shorthand-payloads",
)
_LATER = "Accepted; has no effect yet."
_NOT_SERVED = {
    "http_port": "the HTTP API (--http-port)",
    "ui_port": "the Web UI (--ui-port)",
    "ui_ip": "the Web UI (--ui-ip)",
    "ui_asset_path": "the Web UI (--ui-asset-path)",
    "ui_codec_endpoint": "the Web UI (--ui-codec-endpoint)",
    "ui_public_path": "the Web UI (--ui-public-path)",
    "ui_disable_news_fetch": "the Web UI (--ui-disable-news-fetch)",
    "sqlite_pragma": "SQLite pragmas (--sqlite-pragma)",
}


def switch(
    *names: str, text: str = "", hidden: bool = False, expose: bool = True
) -> Callable[[Command], Command]:
    """Declares a switch that may also be written `--name=true`, as the real CLI allows."""
    return click.option(
        *names,
        type=click.BOOL,
        is_flag=False,
        flag_value="true",
        default=False,
        hidden=hidden,
        expose_value=expose,
        help=text,
    )


def accept_without_effect(command: Command) -> Command:
    """Adds the flags; none of them reaches the command."""
    for name in _OF_THE_CLIENT:
        command = click.option(name, hidden=True, expose_value=False)(command)
    for name in _SWITCHES_OF_THE_CLIENT:
        command = switch(name, hidden=True, expose=False)(command)
    for name in ("--ui-public-path", "--ui-codec-endpoint", "--ui-asset-path", "--ui-ip"):
        command = click.option(name, expose_value=False, help=_LATER)(command)
    for name in ("--ui-port", "--http-port"):
        command = click.option(name, type=PORT, expose_value=False, help=_LATER)(command)
    command = click.option("--sqlite-pragma", multiple=True, expose_value=False, help=_LATER)(
        command
    )
    command = switch("--ui-disable-news-fetch", text=_LATER, expose=False)(command)
    return switch("--headless", text="Without the Web UI: always so.", expose=False)(command)


def remarks(context: click.Context) -> Sequence[str]:
    """Returns one line that names the given flags without effect; none when there are none."""
    given = [
        text
        for name, text in _NOT_SERVED.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return [f"Not served yet: {', '.join(given)}."] if given else []
