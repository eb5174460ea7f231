"""The alerts: what they ask for exists, they fire when they must, and a runbook says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.expressions import faults, kept
from perdure_alerts.alert import Alert
from perdure_alerts.rendering import RULES, files
from perdure_alerts.rules import groups
from perdure_dashboards.rendering import files as boards
from workbench.paths import ROOT

ALERTS: list[Alert] = [alert for group in groups() for alert in group.alerts]
NAMES = {alert.name for alert in ALERTS}
FOLDER = ROOT / "alerts"
TESTS = sorted((FOLDER / "promtool").glob("*.test.yml"))
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
LABELS = re.compile(r"\$labels\.(\w+)")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    return found


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_expression_names_what_the_catalogue_has() -> None:
    found = [f"{alert.name}: {fault}" for alert in ALERTS for fault in faults(alert.expression)]
    assert found == []


def test_summaries_name_labels_that_are_there() -> None:
    for alert in ALERTS:
        assert set(LABELS.findall(alert.summary)) <= kept(alert.expression), alert.name


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    runbooks = {path.stem: path.read_text("utf-8") for path in (FOLDER / "runbooks").glob("*.md")}
    assert runbooks.keys() == NAMES
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS, name


def test_what_runbooks_point_to_exists() -> None:
    titles = {panel["title"] for text in boards().values() for panel in json.loads(text)["panels"]}
    for path in (FOLDER / "runbooks").glob("*.md"):
        text = " ".join(path.read_text("utf-8").split())
        named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", text))
        assert named - {"LimitNOFILE"} <= NAMES, path.stem
        for place in re.findall(r"`(docs/[^`]+)`", text):
            assert (ROOT / place).is_file(), place
        for title in re.findall(r"[Bb]oard \*[^*]+\*[:,] \*([^*]+)\*", text):
            assert title in titles, f"{path.stem}: {title}"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_severities_are_those_that_are_routed(alert: Alert) -> None:
    assert alert.severity in {"warning", "critical"}


def test_the_committed_rules_are_those_that_are_generated() -> None:
    folder = FOLDER / "generated"
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == files()


def test_prometheus_takes_the_rules(promtool: str) -> None:
    run(promtool, "check", "rules", FOLDER / "generated" / RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_only_then(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_every_alert_of_every_severity_is_tested_both_ways() -> None:
    fired: set[tuple[str, str]] = set()
    silent: set[str] = set()
    for path in TESTS:
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                _note(case, fired, silent)
    assert fired == {(alert.name, alert.severity) for alert in ALERTS}
    assert silent == NAMES


def _note(case: dict[str, Any], fired: set[tuple[str, str]], silent: set[str]) -> None:
    expected = case["exp_alerts"]
    if not expected:
        silent.add(case["alertname"])
    fired.update((case["alertname"], alert["exp_labels"]["severity"]) for alert in expected)
