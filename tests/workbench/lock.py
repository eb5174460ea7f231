"""`./dev lock`: the pinned environment, and whether it still fits pyproject.toml.

The first line of the lock file carries a digest of the declared requirements, so that a stale lock
is seen without asking a registry.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import click

from workbench.paths import LOCK, ROOT

_HEADER = "# Made by ./dev lock from pyproject.toml, requirements "


@click.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping pins.")
def command(upgrade: bool) -> None:
    """Pin every dependency, with hashes, in requirements.lock."""
    arguments = [
        *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--all-extras", "--generate-hashes", "--no-annotate", "--no-header"),
        *("--no-emit-index-url", "--no-emit-find-links", "--output-file", str(LOCK)),
        *(("--upgrade",) if upgrade else ()),
        "pyproject.toml",
    ]
    subprocess.run([Path(sys.executable).parent / "uv", *arguments], cwd=ROOT, check=True)
    LOCK.write_text(f"{_HEADER}{requirements_digest()}\n{LOCK.read_text('utf-8')}", "utf-8")
    click.echo(f"wrote {LOCK.relative_to(ROOT)}")


def requirements_digest() -> str:
    """Returns the SHA-256 of what pyproject.toml requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
    ]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def is_current() -> bool:
    """Tells whether the lock file was made from today's requirements."""
    with LOCK.open(encoding="utf-8") as lines:
        return next(lines, "").strip() == f"{_HEADER}{requirements_digest()}"
