"""Namespace: what one tenant does, what it costs, and what it is refused."""

from perdure.telemetry import catalogue as c
from perdure.telemetry import workflow_catalogue as w
from perdure_alerts import thresholds
from perdure_alerts.promql import quotient
from perdure_dashboards import shared
from perdure_dashboards.board import IN_NAMESPACE, PERCENTILE, Board
from perdure_dashboards.panels import Panel, Query, Row
from perdure_dashboards.shared import limits

_FRONTEND = IN_NAMESPACE.only(service_name="frontend")
_ENDED = {
    "completed": c.WORKFLOW_SUCCESS,
    "failed": c.WORKFLOW_FAILED,
    "timed out": c.WORKFLOW_TIMEOUT,
    "terminated": c.WORKFLOW_TERMINATE,
    "cancelled": c.WORKFLOW_CANCEL,
}


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-namespace",
        "Namespace",
        "One tenant: its requests and their limits, its workflows, its task queues.",
        [_requests(), _limits(), _workflows(), _sizes(), _queues()],
        namespaces=True,
    )


def _requests() -> Row:
    return Row(
        "Requests",
        [shared.requests(_FRONTEND), shared.errors(_FRONTEND), shared.latency(_FRONTEND)],
    )


def _limits() -> Row:
    by_limit = ("resource_exhausted_cause", "resource_exhausted_scope")
    refused = _FRONTEND.rate(c.SERVICE_ERRORS_RESOURCE_EXHAUSTED)
    asked = _FRONTEND.rate(c.SERVICE_REQUESTS)
    return Row(
        "Limits",
        [
            Panel(
                "Requests and their limit",
                "Against what all processes together let through of the namespace, where it has a"
                " limit (frontend.namespaceRPS).",
                [
                    Query(asked, "requests"),
                    Query(_FRONTEND.gauge(c.NAMESPACE_HOST_RPS_LIMIT), "limit"),
                ],
                "reqps",
            ),
            Panel(
                "Refused by limit",
                "Per second, by the limit and whose it is. See the runbook NamespaceThrottled.",
                [
                    Query(
                        _FRONTEND.rate(c.SERVICE_ERRORS_RESOURCE_EXHAUSTED, *by_limit),
                        "{{resource_exhausted_cause}} {{resource_exhausted_scope}}",
                    )
                ],
                "reqps",
            ),
            Panel(
                "Share of requests refused",
                "SDKs repeat them: above the first line things become slow, above the second they"
                " fail.",
                [Query(quotient(f"({refused} or 0 * {asked})", asked), "refused")],
                "percentunit",
                limits(thresholds.THROTTLED_RATIO),
            ),
        ],
    )


def _workflows() -> Row:
    return Row(
        "Workflows",
        [
            Panel(
                "Workflows that end",
                "Per second, by how. A share of failures that has grown: look at the types below.",
                [Query(IN_NAMESPACE.rate(metric), name) for name, metric in _ENDED.items()],
                "ops",
                stacked=True,
            ),
            Panel(
                "Workflows that fail, by type",
                "Per second. `temporal workflow list` with the query ExecutionStatus='Failed' names"
                " them.",
                [Query(IN_NAMESPACE.rate(c.WORKFLOW_FAILED, "workflowType"), "{{workflowType}}")],
                "ops",
            ),
            Panel(
                "Workflow tasks that fail",
                "Per second, by the cause. NonDeterministicError: code was changed under workflows"
                " that run.",
                [Query(IN_NAMESPACE.rate(w.FAILED_WORKFLOW_TASKS, "failure"), "{{failure}}")],
                "ops",
            ),
            Panel(
                "Actions",
                "What a provider would bill, per second, by what it is.",
                [Query(IN_NAMESPACE.rate(w.ACTION, "action_type"), "{{action_type}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "State transitions",
                "The measure of the load that the namespace makes.",
                [Query(IN_NAMESPACE.rate(c.STATE_TRANSITION_COUNT), "transitions")],
                "ops",
            ),
            Panel(
                "Commands",
                "Per second, by type: what workflows do.",
                [Query(IN_NAMESPACE.rate(w.COMMAND, "commandType"), "{{commandType}}")],
                "ops",
                stacked=True,
            ),
        ],
    )


def _sizes() -> Row:
    return Row(
        "Sizes",
        [
            Panel(
                "Size of histories",
                "When they change. From 4 MB on workers are told to continue as new; at 50 MB the"
                " run is terminated.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, w.HISTORY_SIZE, "operation"),
                        "{{operation}}",
                    )
                ],
                "bytes",
            ),
            Panel(
                "Events of histories",
                "When they change. From 4,096 on workers are told to continue as new; at 51,200 the"
                " run is terminated.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, w.HISTORY_COUNT, "operation"),
                        "{{operation}}",
                    )
                ],
                "short",
            ),
            Panel(
                "Size of payloads",
                "Bytes that a command brings, by type. Megabytes: pass a reference instead.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, w.EVENT_BLOB_SIZE, "commandType"),
                        "{{commandType}}",
                    )
                ],
                "bytes",
            ),
        ],
    )


def _queues() -> Row:
    queue, legend = ("taskqueue", "task_type"), "{{taskqueue}} {{task_type}}"
    return Row(
        "Task queues",
        [
            Panel(
                "Age of the oldest task by queue",
                "See the runbooks BacklogOld and BacklogWithoutPollers.",
                [
                    Query(
                        IN_NAMESPACE.gauge(c.APPROXIMATE_BACKLOG_AGE_SECONDS, *queue, how="max"),
                        legend,
                    )
                ],
                "s",
                limits(thresholds.BACKLOG_AGE_SECONDS),
            ),
            Panel(
                "Schedule to start by queue",
                "From a task's being scheduled to a worker's having it. High: more workers.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, c.TASK_SCHEDULE_TO_START_LATENCY, *queue),
                        legend,
                    )
                ],
                "s",
            ),
        ],
    )
