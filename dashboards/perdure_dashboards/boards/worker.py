"""System worker and schedules: what the cluster starts and deletes by itself."""

from perdure.telemetry import catalogue as c
from perdure_alerts import thresholds
from perdure_dashboards.board import ASK, IN_NAMESPACE, PERCENTILE, Board
from perdure_dashboards.panels import Panel, Query, Row, single
from perdure_dashboards.shared import limits

_LEGEND = "{{namespace}}"


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-worker",
        "System worker and schedules",
        "What the cluster does by itself: the actions of schedules, and the deletion of runs.",
        [_state(), _actions(), _lost(), _deletions()],
        namespaces=True,
    )


def _state() -> Row:
    return Row(
        "State",
        [
            single(
                "Actions of schedules",
                "Workflows that schedules start per second. None where there are schedules: they"
                " are paused, or history stands still.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_ACTION_SUCCESS), "")],
                "ops",
                width=6,
            ),
            single(
                "Delay of actions",
                "From when an action is due to its workflow's start. See Delay of actions by"
                " namespace.",
                [Query(IN_NAMESPACE.quantile(PERCENTILE, c.SCHEDULE_ACTION_DELAY), "")],
                "s",
                limits(thresholds.SCHEDULE_DELAY_SECONDS),
                width=6,
            ),
            single(
                "Missed actions",
                "Actions per second that will not be made up for. Any: see the runbook"
                " SchedulesMissed.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_MISSED_CATCHUP_WINDOW), "")],
                "ops",
                limits(thresholds.MISSED_ACTIONS),
                width=6,
            ),
            single(
                "Deleted runs",
                "Runs deleted per second, since their retention has run out or by request.",
                [Query(ASK.rate(c.WORKFLOW_CLEANUP_DELETE), "")],
                "ops",
                width=6,
            ),
        ],
    )


def _actions() -> Row:
    return Row(
        "Actions of schedules",
        [
            Panel(
                "Actions by namespace",
                "Workflows that schedules start per second. Peaks at full hours are many schedules"
                " of one time: jitter spreads them.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_ACTION_SUCCESS, "namespace"), _LEGEND)],
                "ops",
                stacked=True,
            ),
            Panel(
                "Delay of actions by namespace",
                "From when an action is due to its workflow's start. Seconds: a limit, see Actions"
                " that wait for their turn; or a namespace that waits for an action before it.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, c.SCHEDULE_ACTION_DELAY, "namespace"),
                        _LEGEND,
                    )
                ],
                "s",
                limits(thresholds.SCHEDULE_DELAY_SECONDS),
            ),
            Panel(
                "Actions that wait for their turn",
                "Actions per second that are late since the namespace's schedules start more than"
                " worker.schedulerNamespaceStartWorkflowRPS at the time. Spread their times, or"
                " raise it.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_RATE_LIMITED, "namespace"), _LEGEND)],
                "ops",
            ),
        ],
    )


def _lost() -> Row:
    return Row(
        "Actions that start nothing",
        [
            Panel(
                "Missed or dropped",
                "Per second: times older than the catch-up window after an outage, and times for"
                " which a buffer of 1,000 had no room. See the runbook SchedulesMissed.",
                [
                    Query(
                        IN_NAMESPACE.rate(c.SCHEDULE_MISSED_CATCHUP_WINDOW, "namespace"),
                        f"missed {_LEGEND}",
                    ),
                    Query(
                        IN_NAMESPACE.rate(c.SCHEDULE_BUFFER_OVERRUNS, "namespace"),
                        f"no room {_LEGEND}",
                    ),
                ],
                "ops",
                limits(thresholds.MISSED_ACTIONS),
            ),
            Panel(
                "Skipped",
                "Times per second that the policy drops since the last action still ran. Many:"
                " workflows take longer than the schedule leaves them.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_OVERLAP_SKIPPED, "namespace"), _LEGEND)],
                "ops",
            ),
            Panel(
                "Refused",
                "Actions per second that started nothing since there is a workflow of that id:"
                " somebody else starts workflows under the ids of a schedule.",
                [Query(IN_NAMESPACE.rate(c.SCHEDULE_ACTION_ERRORS, "namespace"), _LEGEND)],
                "ops",
            ),
        ],
    )


def _deletions() -> Row:
    return Row(
        "Deletion of runs",
        [
            Panel(
                "Deleted runs by node",
                "Runs per second, by the node that owned them. Steady at"
                " worker.retentionDeletesPerSecond: more run out than are deleted; raise it.",
                [Query(ASK.rate(c.WORKFLOW_CLEANUP_DELETE, "instance"), "{{instance}}")],
                "ops",
            ),
        ],
    )
