"""`perdure tls expiring`: says what ends soon, by its exit code too."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from perdure.app import tables
from perdure_tls import renewal
from perdure_tls.commands import shared
from perdure_tls.durations import Lifetime, said
from perdure_tls.renewal import Expiry

SOON_EXIT_CODE = 3
EXPIRED_EXIT_CODE = 4


@click.command("expiring")
@shared.of_folder
@click.option(
    "--within", type=Lifetime(), help="Soon is within this time; without it, what is due."
)
@shared.printed
def command(directory: Path, within: timedelta | None, output: str) -> None:
    """Show when the root, the intermediate and every certificate in use end.

    Ends with code 0 when nothing ends soon, 3 when something does, 4 when something has expired.
    Without --within, soon is when renew would renew it: less than a third of its period is left.
    """
    with shared.said_in_a_sentence():
        folder = shared.opened(directory)
        entries, now = renewal.expiries(folder.state()), folder.now()
    ended, soon = renewal.expiring(entries, now, within)

    def standing(entry: Expiry) -> str:
        return "expired" if entry in ended else "soon" if entry in soon else "ok"

    if output == "json":
        tables.print_json([_plain(entry, standing(entry)) for entry in entries])
    else:
        tables.print_table(
            ("kind", "name", "ends", "left", ""),
            (
                (
                    entry.kind,
                    entry.name,
                    f"{entry.not_after:%Y-%m-%d %H:%M}",
                    said(entry.not_after - now),
                    standing(entry),
                )
                for entry in entries
            ),
        )
    if ended or soon:
        raise click.exceptions.Exit(EXPIRED_EXIT_CODE if ended else SOON_EXIT_CODE)


def _plain(entry: Expiry, standing: str) -> dict[str, Any]:
    plain = dataclasses.asdict(entry) | {"standing": standing}
    plain["not_after"] = entry.not_after.isoformat()
    plain["due_at"] = entry.due_at.isoformat()
    return plain
