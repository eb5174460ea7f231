"""The wheel, installed where nothing else is."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from workbench.paths import LOCK, PACKAGES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory)
    (built,) = directory.glob("*.whl")
    return built


def test_it_holds_every_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(package.parent).as_posix() in names


def test_it_runs_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text(
        "\n".join(re.findall(r"^[\w.-]+==[^\s;]+", LOCK.read_text("utf-8"), re.MULTILINE))
    )
    run(sys.executable, "-m", "venv", tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", pins, wheel)
    perdure = tmp_path / "bare" / "bin" / "perdure"
    assert run(perdure, "--version") == "perdure 0.1.0\n"
    assert "--dynamic-config-value" in run(perdure, "server", "start-dev", "--help")
    authority = tmp_path / "authority"
    run(perdure, "tls", "init", "--trust-domain", "example.com", "-d", authority)
    assert "follows the state" in run(perdure, "tls", "verify", "-d", authority)
