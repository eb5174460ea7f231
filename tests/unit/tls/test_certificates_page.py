"""What docs/operations/certificates.md says can be done, word for word, from top to bottom.

Only the address of the listeners is another, and what lies about when a command needs it.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from perdure_tls.cli import command
from perdure_tls.identity import Role
from unit.tls.foreign import Foreign
from unit.tls.listener import Files, listening
from workbench.paths import ROOT

PAGE = (ROOT / "docs/operations/certificates.md").read_text()
LINES = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
CODE = re.compile(r"  # ends with (\d)$")
LISTENERS = re.compile(r"h1\.example\.com:\d+")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives a folder with the files that the page takes for granted; it is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workers.txt").write_text("w1\nw2\n")
    foreign = Foreign.made(tmp_path / "foreign")
    foreign.leaf("leaf", names="DNS:h1")
    (tmp_path / "tls.crt").write_bytes(foreign.chain("leaf", "intermediate").read_bytes())
    foreign.root.rename(tmp_path / "ca.crt")
    foreign.key("leaf").rename(tmp_path / "tls.key")
    for name in ("intermediate.crt", "intermediate.key"):
        (foreign.path / name).rename(tmp_path / name)
    return tmp_path


def run(line: str, address: str) -> int:
    """Runs a line of the page; returns its exit code."""
    words = shlex.split(LISTENERS.sub(f"{address}=h1.example.com", CODE.sub("", line)))
    if words[:2] == ["perdure", "tls"]:
        result = CliRunner().invoke(command, words[2:], prog_name="perdure tls")
        assert result.exception is None or isinstance(result.exception, SystemExit), line
        print(result.output)
        return result.exit_code
    return subprocess.run(words, check=False).returncode


def test_every_command(folder: Path) -> None:
    node = folder / "perdure-tls/certificates/internode-h1.example.com/current"
    trust = folder / "perdure-tls/published/trust.pem"
    with listening(Files(node / "certificate.pem", node / "key.pem", trust)) as address:
        for line in LINES:
            ends = CODE.search(line)
            assert run(line, address) == int(ends[1] if ends else 0), line
            if "--overlap" in line:
                _pass_the_overlap(folder / "perdure-tls/state.json")


def _pass_the_overlap(path: Path) -> None:
    """Lets the hour that a rotation waits for be over."""
    text = re.sub(r'"waitUntil": "20\d\d', '"waitUntil": "2020', path.read_text())
    path.write_text(text)


def test_every_command_of_the_tool_is_there() -> None:
    said = {word for line in LINES if line.startswith("perdure tls") for word in line.split()[2:4]}
    assert set(command.list_commands(None)) < said  # type: ignore[arg-type]


def test_every_role_is_there() -> None:
    table = PAGE.partition("| role |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", table)) >= set(Role)
