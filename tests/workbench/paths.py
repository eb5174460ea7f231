"""Where things are in the repository, relative to this file: nothing depends on the directory."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server"
TESTS = ROOT / "tests"
LOCK = ROOT / "requirements.lock"
PACKAGES = (
    SERVER / "perdure",
    ROOT / "dashboards" / "perdure_dashboards",
    ROOT / "alerts" / "perdure_alerts",
    ROOT / "tls" / "perdure_tls",
)
"""The importable packages of the wheel."""
