"""Panels: what Perdure's boards are made of.

Every panel says in its description what to do about what it shows. Only kinds of panels that a
current Grafana draws are used: time series and single values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafanalib import core

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""The one that is chosen on the board."""
_GREEN, _ORANGE, _RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """What is drawn.

    Attributes:
        expression: PromQL.
        legend: What its series are called: labels in double braces.
    """

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is a warning, and from where on critical: an alert's thresholds."""

    warning: float | None
    critical: float | None
    falling: bool = False
    """Whether it is values below that are bad."""

    def steps(self) -> list[dict[str, Any]]:
        """Returns Grafana's thresholds."""
        if self.falling:
            return [{"color": _RED, "value": None}, {"color": _GREEN, "value": self.critical}]
        above = [(_ORANGE, self.warning), (_RED, self.critical)]
        marks = [{"color": color, "value": value} for color, value in above if value is not None]
        return [{"color": _GREEN, "value": None}, *marks]


_NO_LIMITS = Limits(None, None)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        text: What to do about it.
        queries: What is drawn.
        unit: Grafana's name of it.
        limits: What is drawn as a line, or colours a value.
        single: Whether the newest value is shown rather than a course.
        stacked: Whether series add up to something.
        most: The end of the axis.
        width: Of 24 columns.
    """

    title: str
    text: str
    queries: Sequence[Query]
    unit: str
    limits: Limits | None = None
    single: bool = False
    stacked: bool = False
    most: float | None = None
    width: int = 8
    height: int = field(default=8)

    def render(self, number: int, column: int, line: int) -> core.Panel:
        """Returns Grafana's panel at a place of the grid."""
        common = {
            "id": number,
            "title": self.title,
            "description": self.text,
            "dataSource": DATASOURCE,
            "maxDataPoints": None,
            "gridPos": core.GridPos(h=self.height, w=self.width, x=column, y=line),
            "targets": [
                core.Target(
                    expr=query.expression,
                    legendFormat=query.legend,
                    refId=chr(ord("A") + place),
                    datasource=DATASOURCE,
                    instant=self.single,
                    intervalFactor=1,
                    step=None,
                )
                for place, query in enumerate(self.queries)
            ],
            "thresholds": (self.limits or _NO_LIMITS).steps(),
        }
        return self._value(common) if self.single else self._course(common)

    def _value(self, common: dict[str, Any]) -> core.Panel:
        return core.Stat(
            **common,
            format=self.unit,
            reduceCalc="lastNotNull",
            color={"mode": "thresholds"},
            colorMode="value" if self.limits else "none",
            graphMode="none",
            textMode="value_and_name" if self.queries[0].legend else "value",
            noValue="–",
        )

    def _course(self, common: dict[str, Any]) -> core.Panel:
        return core.TimeSeries(
            **common,
            unit=self.unit,
            valueMin=0,
            valueMax=self.most,
            fillOpacity=20 if self.stacked else 0,
            stacking={"mode": "normal", "group": "A"} if self.stacked else {"mode": "none"},
            showPoints="never",
            legendDisplayMode="table",
            legendPlacement="bottom",
            legendCalcs=["mean", "max", "lastNotNull"],
            tooltipMode="multi",
            tooltipSort="desc",
            thresholdsStyleMode="line" if self.limits else "off",
        )


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right."""

    title: str
    panels: Sequence[Panel]


WIDTH = 24


def place(rows: Sequence[Row]) -> list[core.Panel]:
    """Returns the panels of all rows, each at its place."""
    placed: list[core.Panel] = []
    line = 0
    for row in rows:
        placed.append(
            core.RowPanel(
                id=len(placed) + 1,
                title=row.title,
                gridPos=core.GridPos(h=1, w=WIDTH, x=0, y=line),
            )
        )
        line += 1
        column = height = 0
        for panel in row.panels:
            if column + panel.width > WIDTH:
                line, column, height = line + height, 0, 0
            placed.append(panel.render(len(placed) + 1, column, line))
            column += panel.width
            height = max(height, panel.height)
        line += height
    return placed


def single(
    title: str,
    text: str,
    queries: Sequence[Query],
    unit: str,
    limits: Limits | None = None,
    *,
    width: int = 4,
) -> Panel:
    """Returns a panel of the newest value."""
    return Panel(title, text, queries, unit, limits, single=True, width=width, height=4)
