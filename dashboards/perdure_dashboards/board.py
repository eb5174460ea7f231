"""Boards: rows of panels, the variables that they share, and links to the other boards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib import _gen, core

from perdure.telemetry import catalogue
from perdure_alerts.promql import Asker, Regex
from perdure_dashboards.panels import DATASOURCE, Row, place

TAG = "perdure"
SCHEMA_VERSION = 39
"""Of Grafana 11; later ones read it."""
PERCENTILE = "$percentile"
"""The quantile that is chosen on the board."""

_EVERYTHING = ".*"
ASK = Asker("$__rate_interval", {"cluster": Regex("$cluster"), "instance": Regex("$instance")})
"""Asks for what is chosen on the board, in a window that fits what is shown."""
WHOLE = Asker("$__rate_interval", {"cluster": Regex("$cluster")})
"""Asks for all instances: for what means nothing of one."""
IN_NAMESPACE = ASK.only(namespace=Regex("$namespace"))


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: What links and alerts call it; never changes.
        title: What it is called.
        text: What it is for.
        rows: What it shows.
        namespaces: Whether a namespace is chosen on it.
    """

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    namespaces: bool = False

    def render(self) -> str:
        """Returns Grafana's JSON, always the same text for the same board."""
        dashboard = core.Dashboard(
            title=f"Perdure / {self.title}",
            uid=self.uid,
            description=self.text,
            tags=[TAG],
            schemaVersion=SCHEMA_VERSION,
            panels=place(self.rows),
            templating=core.Templating(list=self._variables()),
            links=[
                core.DashboardLink(
                    title="Perdure", tags=[TAG], includeVars=True, keepTime=True, asDropdown=False
                )
            ],
            annotations=core.Annotations(list=[_restarts()]),
            time=core.Time("now-1h", "now"),
            refresh="30s",
            graphTooltip=1,
            timezone="browser",
            editable=False,
        )
        plain = json.loads(json.dumps(dashboard, cls=_gen.DashboardEncoder))
        return f"{json.dumps(_said(plain), sort_keys=True, indent=1)}\n"

    def _variables(self) -> list[core.Template]:
        found = catalogue.BUILD_INFORMATION.name
        variables = [
            core.Template(name="datasource", type="datasource", query="prometheus", label="Source"),
            _choice("cluster", f"label_values({found}, cluster)", "Cluster"),
            _choice("instance", f'label_values({found}{{cluster=~"$cluster"}}, instance)', "Node"),
        ]
        if self.namespaces:
            requests = catalogue.SERVICE_REQUESTS.name
            variables.append(
                _choice("namespace", f"label_values({requests}, namespace)", "Namespace")
            )
        percentiles = core.Template(
            name="percentile", type="custom", query="0.5,0.9,0.95,0.99", default="0.99"
        )
        return [*variables, percentiles]


def _said(value: Any) -> Any:
    """Returns JSON without what grafanalib leaves open: a null is no default for Grafana."""
    if isinstance(value, list):
        return [_said(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"color", "value"}:
        # The lowest step of thresholds has no value.
        return value
    return {name: _said(each) for name, each in value.items() if each is not None}


def _choice(name: str, query: str, label: str) -> core.Template:
    return core.Template(
        name=name,
        query=query,
        label=label,
        dataSource=DATASOURCE,
        includeAll=True,
        multi=True,
        # Also series without the label, of a Prometheus that sees one cluster only.
        allValue=_EVERYTHING,
        refresh=2,
        default="$__all",
    )


def restarts(window: str) -> str:
    """Returns the expression of how often each process has started in a window, where it has."""
    (started,) = [m for m in catalogue.PROCESS if m.name == "process_start_time_seconds"]
    asker = Asker(window, ASK.where)
    # Other programs tell their start too.
    ours = asker.gauge(catalogue.BUILD_INFORMATION, "instance")
    return f"{asker.changes(started, 'instance')} and {ours}"


def _restarts() -> dict[str, Any]:
    return {
        "name": "Restarts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": f"({restarts('2m')}) > 0",
        "titleFormat": "{{instance}} restarted",
        "step": "60s",
    }
