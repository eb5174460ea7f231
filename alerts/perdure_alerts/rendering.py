"""The rules as the file that Prometheus loads."""

from typing import Any

import yaml

from perdure_alerts.alert import Alert, Group
from perdure_alerts.rules import groups

RULES = "perdure.rules.yml"
"""The file's name."""
_HEADER = "# Made by ./dev generate from alerts/perdure_alerts.\n"


def files() -> dict[str, str]:
    """Returns the generated files by name."""
    document = {"groups": [_group(group) for group in groups()]}
    text = yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
    return {RULES: _HEADER + text}


def _group(group: Group) -> dict[str, Any]:
    return {"name": group.name, "rules": [_rule(alert) for alert in group.alerts]}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.hold,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "dashboard": f"/d/{alert.board}",
            "runbook": f"alerts/runbooks/{alert.name}.md",
        },
    }
