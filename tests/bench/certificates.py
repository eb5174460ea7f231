"""An authority, and certificates for both ends, made by `perdure tls` for one measurement."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.errors import BenchError
from bench.processes import environment

TOOL = (sys.executable, "-c", "from perdure_tls.cli import command; command()")
SERVER, CLIENT = "server", "client"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files of an authority are."""

    folder: Path

    def server_settings(self) -> dict[str, object]:
        """What the server's configuration has under `global.tls`."""
        certificate, key = self._holder(SERVER)
        return {
            "frontend": {
                "server": {
                    "certFile": str(certificate),
                    "keyFile": str(key),
                    "clientCaFiles": [str(self._trust)],
                    "requireClientAuth": True,
                }
            },
            "denyFile": str(self.folder / "published" / "denied.json"),
        }

    def client_credentials(self) -> grpc.ChannelCredentials:
        """What the load generator connects with."""
        certificate, key = self._holder(CLIENT)
        return grpc.ssl_channel_credentials(
            self._trust.read_bytes(), key.read_bytes(), certificate.read_bytes()
        )

    @property
    def _trust(self) -> Path:
        return self.folder / "published" / "trust.pem"

    def _holder(self, name: str) -> tuple[Path, Path]:
        current = self.folder / "certificates" / name / "current"
        return current / "certificate.pem", current / "key.pem"


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and the certificates of a server on loopback and of its clients.

    Raises:
        BenchError: The tool failed.
    """
    host = ("--host", "localhost", "--ip", "127.0.0.1")
    _run(folder, "init", "--trust-domain", "bench.invalid")
    _run(folder, "issue", "--role", "frontend", *host, "--name", SERVER)
    _run(folder, "issue", "--role", "admin", *host, "--name", CLIENT)
    return Certificates(folder)


def _run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [*TOOL, *words, "-d", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    if done.returncode:
        msg = f"perdure tls {words[0]}: {done.stderr.strip()}"
        raise BenchError(msg)
