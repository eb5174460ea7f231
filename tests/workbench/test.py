"""`./dev test`: installs what the tests need, then runs pytest."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from workbench.paths import ROOT
from workbench.tools import become, call


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--all", "everything", is_flag=True, help="The slow tests too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(everything: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests; ARGUMENTS go to pytest."""
    install_missing()
    os.chdir(ROOT)
    selection = () if everything else ("-m", "not slow")
    become([sys.executable, "-m", "pytest", *selection, *arguments])


def install_missing() -> None:
    """Installs the Debian packages that tests use, when some are missing and this is root.

    Raises:
        click.ClickException: Some are missing and only root could install them.
    """
    missing = [package for package, present in _PACKAGES.items() if not present()]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() or not shutil.which("apt-get"):
        raise click.ClickException(f"the tests need Debian packages: apt-get install {names}")
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


_PACKAGES: dict[str, Callable[[], bool]] = {
    "strace": _command("strace"),
    "postgresql": _postgres,
    "pgbouncer": _administration("pgbouncer"),
    "prometheus": _command("promtool"),
    "faketime": _command("faketime"),
    "iproute2": _command("ip"),
    "nftables": _administration("nft"),
    "nodejs": _command("node"),
    "npm": _command("npm"),
}
