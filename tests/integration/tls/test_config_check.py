"""`perdure config check` and `server start` read the files that a configuration names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from authority import CLIENT, DAY, SERVER, Authority, replace
from integration.tls.ports import section
from perdure.app.cli import main


class Host:
    """A folder with good files, and a configuration that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("root")
        self.authority.issue().write(folder)
        replace(folder / "trust.pem", self.authority.pem)
        replace(folder / "denied.json", b'{"serials": [], "spiffeIds": []}')
        port = section(folder)
        self.sections: dict[str, Any] = {
            "metrics": {"tls": dict(port)},
            "global": {
                "tls": {
                    "frontend": {"server": dict(port)},
                    "internode": {
                        "server": dict(port),
                        "client": {"rootCaFiles": [str(folder / "trust.pem")]},
                    },
                    "denyFile": str(folder / "denied.json"),
                }
            },
        }

    @property
    def tls(self) -> dict[str, Any]:
        tls: dict[str, Any] = self.sections["global"]["tls"]
        return tls

    def run(self, *command: str) -> tuple[int, str]:
        path = self.folder / "perdure.yaml"
        path.write_text(yaml.safe_dump(self.sections), "utf-8")
        done = CliRunner().invoke(main, [*command, str(path)])
        return done.exit_code, done.output


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_good_files_are_sound(host: Host) -> None:
    assert host.run("config", "check")[0] == 0


def missing(host: Host) -> None:
    (host.folder / "key.pem").unlink()


def wrong_key(host: Host) -> None:
    replace(host.folder / "key.pem", host.authority.issue().key, mode=0o400)


def readable_key(host: Host) -> None:
    (host.folder / "key.pem").chmod(0o644)


def expired(host: Host) -> None:
    host.authority.issue(begins=-2 * DAY, expires=-DAY).write(host.folder)


def only_a_server(host: Host) -> None:
    host.authority.issue(usages=(SERVER,)).write(host.folder)


def only_a_client(host: Host) -> None:
    host.authority.issue(usages=(CLIENT,)).write(host.folder)


def of_others(host: Host) -> None:
    Authority("other").issue().write(host.folder)


def of_another_name(host: Host) -> None:
    host.tls["internode"]["client"]["serverName"] = "node.example.com"


def override_without_its_name(host: Host) -> None:
    override = dict(host.tls["frontend"]["server"])
    host.tls["frontend"]["hostOverrides"] = {"other.example.com": override}


def override_of_the_usual_name(host: Host) -> None:
    override = dict(host.tls["frontend"]["server"])
    host.tls["frontend"]["hostOverrides"] = {"localhost": override}


def no_base64(host: Host) -> None:
    server = host.tls["frontend"]["server"]
    del server["certFile"]
    server["certData"] = "?"


def nowhere(host: Host) -> None:
    host.tls["systemWorker"] = {"certFile": "nowhere", "keyFile": "nowhere"}


CASES: list[tuple[Callable[[Host], None], str]] = [
    (missing, "key.pem does not exist: put it there"),
    (wrong_key, "key.pem is not the key of the certificate"),
    (readable_key, "key.pem has the mode 0644, so that others"),
    (expired, "certificate.pem expired on"),
    (only_a_server, "certificate.pem is not a certificate for clients"),
    (only_a_client, "certificate.pem is not a certificate for servers"),
    (of_others, 'certificate.pem leads to "CN=other", which is none of the authorities'),
    (of_another_name, "certificate.pem does not have the name node.example.com of internode"),
    (override_without_its_name, "certificate.pem does not have the DNS name other.example.com"),
    (override_of_the_usual_name, "certificate.pem would never be shown"),
    (no_base64, "global.tls.frontend.server.certData is neither PEM nor base64 of it"),
    (nowhere, "nowhere does not exist"),
]


@pytest.mark.parametrize(("spoil", "sentence"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_a_bad_file_is_said(host: Host, spoil: Callable[[Host], None], sentence: str) -> None:
    spoil(host)
    code, said = host.run("config", "check")
    assert code == 1
    assert said.startswith("Error: ")
    assert sentence in said
    code, said = host.run("server", "start", "--config")
    assert code == 1
    assert sentence in said


def test_data_stands_for_files(host: Host) -> None:
    leaf = host.authority.issue()
    host.tls["frontend"]["server"] = {
        "certData": leaf.chain.decode(),
        "keyData": leaf.key.decode(),
        "clientCaData": [host.authority.pem.decode()],
        "requireClientAuth": True,
    }
    assert host.run("config", "check")[0] == 0
