"""Visibility: lists and counts of workflows, and what they cost."""

from perdure.telemetry import server_catalogue as s
from perdure_alerts import thresholds
from perdure_alerts.promql import Regex, quotient
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, IN_NAMESPACE, PERCENTILE, Board
from perdure_dashboards.panels import Panel, Query, Row, single
from perdure_dashboards.shared import limits

_LISTINGS = IN_NAMESPACE.only(
    service_name="frontend", operation=Regex("(List|Scan|Count).*Executions|ListSchedules")
)
_ALL = ASK.rate(s.VISIBILITY_PERSISTENCE_REQUESTS)
_FAILED = f"({ASK.rate(s.VISIBILITY_PERSISTENCE_ERRORS)} or 0 * {_ALL})"


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-visibility",
        "Visibility",
        "Lists and counts of workflows. What they show is written with the workflows themselves,"
        " so that it is never behind.",
        [_state(), _asked(), _store()],
        namespaces=True,
    )


def _state() -> Row:
    return Row(
        "State",
        [
            single(
                "Lists and counts",
                "Per second. Pages that are open in many browsers ask again and again.",
                [Query(_ALL, "")],
                "ops",
                width=8,
            ),
            single(
                "Failed lists and counts",
                "Share of them: see the runbook VisibilityAvailability.",
                [Query(quotient(_FAILED, _ALL), "")],
                "percentunit",
                limits(thresholds.VISIBILITY_ERROR_RATIO),
                width=8,
            ),
            single(
                "Latency of lists and counts",
                "Seconds: a query without an index, of a large namespace.",
                [Query(ASK.quantile(PERCENTILE, s.VISIBILITY_PERSISTENCE_LATENCY), "")],
                "s",
                width=8,
            ),
        ],
    )


def _asked() -> Row:
    return Row(
        "Requests",
        [shared.requests(_LISTINGS), shared.errors(_LISTINGS), shared.latency(_LISTINGS)],
    )


def _store() -> Row:
    return Row(
        "Store",
        [
            Panel(
                "Queries by kind",
                "Lists and counts that the store answered, per second.",
                [Query(ASK.rate(s.VISIBILITY_PERSISTENCE_REQUESTS, "operation"), "{{operation}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "Latency by kind",
                "Counts without a filter are kept and cheap; others read what they count.",
                [
                    Query(
                        ASK.quantile(PERCENTILE, s.VISIBILITY_PERSISTENCE_LATENCY, "operation"),
                        "{{operation}}",
                    )
                ],
                "s",
            ),
            Panel(
                "Failures by kind",
                "Per second. They took longer than the store waits, or the database is away.",
                [Query(ASK.rate(s.VISIBILITY_PERSISTENCE_ERRORS, "operation"), "{{operation}}")],
                "ops",
            ),
        ],
    )
