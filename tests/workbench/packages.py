"""The Debian packages that commands use: which are missing, and how they come."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from workbench.tools import call


def install_missing(packages: Iterable[str], *, needed_by: str) -> None:
    """Installs the packages that are missing, when this is root.

    Args:
        packages: Their names.
        needed_by: Subject and verb of the sentence that names them.

    Raises:
        click.ClickException: Some are missing and only root could install them, or apt-get fails.
    """
    missing = [package for package in packages if not _PRESENT[package]()]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() or not shutil.which("apt-get"):
        raise click.ClickException(f"{needed_by} Debian packages: apt-get install {names}")
    click.echo(f"installing {names}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = [
        "apt-get",
        "-qq",
        "-o",
        "Dpkg::Use-Pty=0",
        "install",
        "--no-install-recommends",
        "-y",
    ]
    if call(["apt-get", "-qq", "update"]) or call([*install, *missing]):
        raise click.ClickException(f"apt-get could not install {names}")


def _command(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _postgres() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def _administration(name: str) -> Callable[[], bool]:
    """A command that is not on everybody's path."""
    return lambda: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is not None


_PRESENT: dict[str, Callable[[], bool]] = {
    "strace": _command("strace"),
    "postgresql": _postgres,
    "pgbouncer": _administration("pgbouncer"),
    "prometheus": _command("prometheus"),
    "prometheus-alertmanager": _command("prometheus-alertmanager"),
    "faketime": _command("faketime"),
    "iproute2": _command("ip"),
    "nftables": _administration("nft"),
    "nodejs": _command("node"),
    "npm": _command("npm"),
}
OF_TESTS = tuple(_PRESENT)
TO_OBSERVE = ("prometheus", "prometheus-alertmanager")
