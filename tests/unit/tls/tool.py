"""Runs `perdure tls` in this process, in a folder of its own, at any time; openssl beside it."""

import json
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perdure_tls.cli import command
from perdure_tls.commands import shared
from perdure_tls.folder import Folder
from perdure_tls.state import State

DOMAIN = "example.com"


@dataclass
class Tool:
    """An authority's folder, and the command line that changes it.

    Its clock stands still but for what `later` says. It is two minutes fast: what openssl makes
    during a test has begun, and what is made here, which begins five minutes early, has too.
    """

    path: Path
    monkeypatch: pytest.MonkeyPatch
    later: timedelta = timedelta()
    began_at: datetime = field(default_factory=lambda: _now() + timedelta(minutes=2))

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(shared, "now", self.now)

    def now(self) -> datetime:
        return self.began_at + self.later

    def run(self, *arguments: object) -> Result:
        """Runs a command of the folder, whatever comes of it."""
        words = [str(word) for word in arguments]
        if words[0] != "inspect":
            words += ["-d", str(self.path)]
        return CliRunner().invoke(command, words, prog_name="perdure tls")

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Runs a command that ends with a code; returns what it printed for machines."""
        result = self.run(*arguments, "-o", "json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def refused(self, *arguments: object) -> str:
        """Runs a command that is refused; returns its sentence."""
        result = self.run(*arguments)
        assert result.exit_code in {1, 2}, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        return result.stderr.strip()

    def init(self, *more: object) -> None:
        self.json("init", "--trust-domain", DOMAIN, *more)

    def issue(self, role: str, host: str, *more: object) -> str:
        """Issues a certificate; returns its name."""
        (issued,) = self.json("issue", "--role", role, "--host", host, *more)["issued"]
        return str(issued["name"])

    def failures(self, *arguments: object) -> list[str]:
        """Returns what `verify` finds wrong: the check, of what, and why."""
        result = self.run("verify", *arguments, "-o", "json")
        found = json.loads(result.stdout)
        wrong = [f"{e['check']} of {e['subject']}: {e['said']}" for e in found if not e["passed"]]
        assert result.exit_code == (1 if wrong else 0)
        return wrong

    @property
    def folder(self) -> Folder:
        return Folder(self.path, now=self.now)

    @property
    def state(self) -> State:
        return self.folder.state()

    @property
    def trust(self) -> Path:
        return self.folder.trust_path

    def certificate(self, name: str) -> Path:
        return self.folder.holder(name) / "current" / "certificate.pem"

    def key(self, name: str) -> Path:
        return self.folder.holder(name) / "current" / "key.pem"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def openssl(*arguments: object, code: int = 0) -> str:
    """Runs openssl; returns what it printed."""
    words = ["openssl", *(str(word) for word in arguments)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
