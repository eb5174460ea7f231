"""`perdure config settings`: what an operator may set."""

import click

import perdure.app.schedule_settings
import perdure.app.settings  # noqa: F401 declares them
from perdure.config.settings import SETTINGS


@click.command("settings")
def settings() -> None:
    """List every setting: key, what it is, default, unit, whether it is live."""
    for setting in sorted(SETTINGS.values(), key=lambda setting: setting.key.lower()):
        live = " Live." if setting.live else ""
        click.echo(
            f"{setting.key}\n    {setting.text} Default: {setting.describe_default()}.{live}"
        )
