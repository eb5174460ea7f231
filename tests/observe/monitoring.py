"""Prometheus and Alertmanager: what they are told, and how they are run."""

import urllib.request
from collections.abc import Mapping
from pathlib import Path

import yaml

from perdure_alerts.rendering import RULES
from workbench.paths import ROOT

SCRAPE_SECONDS = 5
"""Often enough to watch a demo; the alerts' shortest window is 24 times as long."""
_ANSWER_SECONDS = 5.0


def prometheus(
    folder: Path, *, port: int, targets: Mapping[str, str], alertmanager: str
) -> list[str]:
    """Writes Prometheus' configuration; returns the command that runs it.

    Args:
        folder: Where its configuration and data go.
        port: Where it serves.
        targets: Addresses to scrape, by what they are called as a job. Its own is added.
        alertmanager: The address that alerts are sent to.
    """
    address = f"127.0.0.1:{port}"
    jobs = {**targets, "prometheus": address}
    config = {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
        },
        "rule_files": [str(ROOT / "alerts" / "generated" / RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in jobs.items()
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]


def alertmanager(folder: Path, *, port: int) -> list[str]:
    """Writes the configuration of an Alertmanager that tells nobody; returns its command."""
    path = folder / "alertmanager.yml"
    config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    path.write_text(yaml.safe_dump(config), "utf-8")
    return [
        "prometheus-alertmanager",
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",  # it is alone
    ]


def is_ready(port: int) -> bool:
    """Tells whether the one of the two that serves there says that it is ready."""
    return _is_found(f"http://127.0.0.1:{port}/-/ready")


def alerts_page(port: int) -> str:
    """Returns where a browser sees the alerts; Debian's Prometheus has the older pages only."""
    pages = f"http://127.0.0.1:{port}/classic/alerts", f"http://127.0.0.1:{port}/alerts"
    return next(filter(_is_found, pages), pages[-1])


def _is_found(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 it is http
            return bool(answer.status == 200)
    except OSError:
        return False
