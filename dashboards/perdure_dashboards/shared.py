"""Panels that several boards have."""

from perdure.telemetry import catalogue as c
from perdure.telemetry.metric import Metric
from perdure_alerts import thresholds
from perdure_alerts.promql import Asker, UnlikeRegex
from perdure_alerts.thresholds import Threshold
from perdure_dashboards.board import ASK, PERCENTILE
from perdure_dashboards.panels import Limits, Panel, Query

NOT_WAITING = UnlikeRegex("Poll.*|GetWorkflowExecutionHistory|QueryWorkflow")
"""Operations that do not wait on purpose."""


def limits(threshold: Threshold) -> Limits:
    """Returns an alert's thresholds, to be drawn."""
    return Limits(threshold.warning, threshold.critical)


def process(name: str) -> Metric:
    """Returns what the Prometheus client library calls a metric of the process."""
    (metric,) = [metric for metric in c.PROCESS if metric.name == name]
    return metric


def commit_latency() -> Panel:
    """How long commits take."""
    return Panel(
        "Commit latency",
        "How long the database takes for a transaction. Every answer that changes something waits"
        " for one. All nodes slow: look at the database. One: at its network and event loop.",
        [
            Query(ASK.quantile(PERCENTILE, c.GROUP_COMMIT_LATENCY, "instance"), "{{instance}}"),
        ],
        "s",
        limits(thresholds.COMMIT_LATENCY_SECONDS),
    )


def batch_size() -> Panel:
    """How many transitions share a transaction."""
    return Panel(
        "Batch size",
        "Transitions that share a transaction, on average. It grows with load and with the"
        " database's latency; near the most of 256 the database is the bottleneck.",
        [Query(ASK.mean(c.GROUP_COMMIT_BATCH_SIZE, "instance"), "{{instance}}")],
        "short",
    )


def commits_lost() -> Panel:
    """Commits that the database did not confirm."""
    return Panel(
        "Commits lost",
        "Transitions that the database did not confirm; their callers try again. More than a"
        " failover's worth: see the runbook CommitsLost.",
        [Query(ASK.rate(c.GROUP_COMMIT_LOST, "instance"), "{{instance}}")],
        "ops",
        Limits(None, 0.001),
    )


def requests(asker: Asker, *, title: str = "Requests by operation") -> Panel:
    """How many requests there are."""
    return Panel(
        title,
        "Calls per second. A jump of one operation is a client that has changed; all going to zero"
        " is a way to the service that is cut.",
        [Query(asker.rate(c.SERVICE_REQUESTS, "operation"), "{{operation}}")],
        "reqps",
        stacked=True,
    )


def errors(asker: Asker) -> Panel:
    """What goes wrong, of everything that is answered with an error."""
    return Panel(
        "Errors by type and operation",
        "Errors answered, per second. NotFound, AlreadyStarted and InvalidArgument are answers to"
        " clients; Unavailable and Internal are ours: see the runbook FrontendErrors.",
        [
            Query(
                asker.rate(c.SERVICE_ERROR_WITH_TYPE, "error_type", "operation"),
                "{{error_type}} {{operation}}",
            )
        ],
        "reqps",
    )


def latency(asker: Asker) -> Panel:
    """How long answers take, polls left out."""
    return Panel(
        "Latency by operation",
        "How long answers take, polls left out: those wait on purpose. If all that write are slow,"
        " look at the commit latency; if one is, at what it is asked.",
        [
            Query(
                asker.only(operation=NOT_WAITING).quantile(
                    PERCENTILE, c.SERVICE_LATENCY, "operation"
                ),
                "{{operation}}",
            )
        ],
        "s",
    )


def calls(asker: Asker, role: str) -> list[Panel]:
    """Calls to another role: how many, how long, and what fails."""
    to_role = asker.only(service_role=role)
    return [
        Panel(
            f"Calls to {role}",
            f"Calls to {role} on other nodes, per second; those within a process do not count.",
            [Query(to_role.rate(c.CLIENT_REQUESTS, "operation"), "{{operation}}")],
            "reqps",
            stacked=True,
        ),
        Panel(
            f"Latency of calls to {role}",
            f"How long {role} takes, the network included. Polls wait on purpose.",
            [Query(to_role.quantile(PERCENTILE, c.CLIENT_LATENCY, "operation"), "{{operation}}")],
            "s",
        ),
        Panel(
            f"Failed calls to {role}",
            "PeerUnreachable: the node is gone, or the network to it. NotOwner: a shard or queue"
            " has moved; normal for seconds when nodes come and go. Canceled: a client went away.",
            [
                Query(
                    to_role.rate(c.CLIENT_ERRORS, "error_type", "operation"),
                    "{{error_type}} {{operation}}",
                )
            ],
            "reqps",
        ),
    ]


def live_nodes(asker: Asker) -> str:
    """Returns the expression of live nodes by role."""
    return asker.only(state="up").gauge(c.MEMBERSHIP_LIVE_NODES, "role", how="max")
