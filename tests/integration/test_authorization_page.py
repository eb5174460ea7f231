"""What docs/operations/authorization.md says can be done, word for word, on a server with TLS.

Only the port and the place of the keys are others.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from conformance.targets import free_port
from perdure.app.cli import main
from waiting import until_sync
from workbench.paths import ROOT

PAGE = (ROOT / "docs/operations/authorization.md").read_text("utf-8")
LINES = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
CERTIFICATES, WITH_CERTIFICATES, TOKEN, WITH_TOKENS = LINES[:5], LINES[5:7], LINES[7], LINES[8:]
BIN = Path(sys.executable).parent
SECONDS = 60.0
REFUSED = "Request unauthorized."
ID = "spiffe://example.com/ns"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [str(each) for each in found]


BY_CERTIFICATES, BY_TOKENS = blocks("yaml")
WORKER, ISSUER, TOKEN_WORKER = blocks("python")


class Place:
    """A folder in which the page's lines are run, and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = str(free_port())

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        keys = (self.folder / "keys.json").as_uri()
        path.write_text(
            text.replace("7233", self._port).replace("file:///etc/perdure/keys.json", keys)
        )
        return path

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        line = line.replace("7233", self._port)
        if line.startswith("perdure tls "):
            command = "from perdure_tls.cli import command; command()"
            words = [sys.executable, "-c", command, *shlex.split(line)[2:]]
        else:
            words = ["bash", "-c", line]
        return subprocess.run(
            words,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def output(self, line: str) -> str:
        done = self.run(line)
        assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def refusal(self, line: str) -> None:
        done = self.run(line)
        assert done.returncode != 0
        assert REFUSED in done.stdout + done.stderr, f"{line}:\n{done.stdout}{done.stderr}"

    @contextmanager
    def process(self, *arguments: str, until: str = "") -> Iterator[Path]:
        """Runs a program while the block is open, which begins when it has printed a text."""
        log = self.folder / f"{Path(arguments[-1]).name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, stdout=output, stderr=output
            )
        try:
            until_sync(lambda: until in log.read_text() or process.poll() is not None, SECONDS)
            assert process.poll() is None, log.read_text()
            yield log
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(SECONDS)

    @contextmanager
    def server(self, configuration: str) -> Iterator[Path]:
        path = self.write("server.yaml", self._with_port(configuration))
        start = ("-m", "perdure.app", "server", "start", "--config", str(path))
        with self.process(*start, until="gRPC") as log:
            yield log

    def _with_port(self, configuration: str) -> str:
        return f"listeners: {{grpc: {{port: 7233}}}}\n{configuration}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("page"))
    for line in CERTIFICATES:
        place.output(line)
    place.write("worker.py", WORKER)
    place.write("token_worker.py", TOKEN_WORKER)
    place.write("issuer.py", ISSUER)
    return place


def test_every_command_is_run_here() -> None:
    assert [line.split()[0] for line in LINES] == ["perdure"] * 5 + [
        *("temporal", "temporal", "python", "temporal", "temporal")
    ]
    assert all(json.loads(block) for block in blocks("json"))


@pytest.mark.parametrize("configuration", [BY_CERTIFICATES, BY_TOKENS])
def test_the_configurations_are_sound(tmp_path: Path, configuration: str) -> None:
    path = tmp_path / "perdure.yaml"
    # Certificates that are not there are another matter.
    given = yaml.safe_load(configuration)
    del given["global"]["tls"]["frontend"]["server"]
    given["global"]["authorization"]["jwtKeyProvider"] = {"keySourceURIs": ["file:///keys.json"]}
    path.write_text(yaml.safe_dump(given))
    checked = CliRunner().invoke(main, ["config", "check", str(path)])
    assert checked.exit_code == 0, checked.output


def test_certificates(place: Place) -> None:
    execute, create = WITH_CERTIFICATES
    writer, admin = "writer-orders-desk-1", "admin-temporal-system-desk-2"
    worker = "application-worker-orders-w1"
    assert writer in execute
    assert admin in create
    with place.server(BY_CERTIFICATES) as log, place.process("worker.py"):
        assert "tea: ordered" in place.output(execute)
        place.refusal(create.replace(admin, writer))
        place.refusal(execute.replace(writer, worker).replace("order-1", "order-3"))
        place.refusal(execute.replace("--namespace orders", "--namespace returns"))
        place.output(create)
    told = [line for line in log.read_text().splitlines() if "administrative call" in line]
    audited = [json.loads(line) for line in told]
    assert [(line["principal"], line["method"], line["outcome"]) for line in audited] == [
        (f"{ID}/orders/role/writer/host/desk-1", "RegisterNamespace", "refused"),
        (f"{ID}/temporal-system/role/admin/host/desk-2", "RegisterNamespace", "done"),
    ]
    (shown,) = [block for block in map(json.loads, blocks("json")) if "outcome" in block]
    assert {**shown, "peer": "", "ts": ""} == {**audited[1], "peer": "", "ts": ""}


def test_tokens(place: Place) -> None:
    execute, listing = WITH_TOKENS
    place.output(TOKEN)
    with place.server(BY_TOKENS), place.process("token_worker.py"):
        assert "tea: ordered" in place.output(execute)
        until_sync(lambda: "order-2" in place.output(listing), SECONDS)
        place.refusal(listing.replace("--namespace orders", "--namespace default"))
        place.refusal(re.sub(r'--grpc-meta "[^"]*"', "", listing))
        place.refusal(listing.replace("$(cat token)", "$(tr e f <token)"))
