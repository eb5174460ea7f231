"""Matching: task queues, their workers and their backlogs."""

from perdure.telemetry import catalogue as c
from perdure_alerts import thresholds
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, IN_NAMESPACE, PERCENTILE, Board
from perdure_dashboards.panels import Panel, Query, Row, single
from perdure_dashboards.shared import limits

_QUEUE = ("taskqueue", "task_type")
_LEGEND = "{{taskqueue}} {{task_type}}"
_LOADED = IN_NAMESPACE.gauge(c.LOADED_TASK_QUEUE_COUNT, "task_type")
_MATCHING = ASK.only(service_name="matching")


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-matching",
        "Matching",
        "Task queues: what waits there, who polls, and how long tasks take to reach a worker.",
        [_state(), _backlog(), _polls(), _tasks(), _served(), _history()],
        namespaces=True,
    )


def _state() -> Row:
    sync = IN_NAMESPACE.only(task_add_result="sync_match").rate(c.TASKS_ADDED)
    return Row(
        "State",
        [
            single(
                "Oldest waiting task",
                "Too few workers, or none: Backlog tells which queue.",
                [Query(IN_NAMESPACE.gauge(c.APPROXIMATE_BACKLOG_AGE_SECONDS, how="max"), "")],
                "s",
                limits(thresholds.BACKLOG_AGE_SECONDS),
            ),
            single(
                "Waiting tasks",
                "Of all queues.",
                [Query(IN_NAMESPACE.gauge(c.APPROXIMATE_BACKLOG_COUNT), "")],
                "short",
            ),
            single(
                "Pending polls",
                "Workers' polls that wait for a task. None: there are no workers, or all are busy.",
                [Query(IN_NAMESPACE.gauge(c.PENDING_POLLS), "")],
                "short",
            ),
            single(
                "Tasks that met a poller",
                "Share of tasks for which a poller waited. Below 95 % for long: more pollers or"
                " more workers.",
                [Query(f"{sync} / {IN_NAMESPACE.rate(c.TASKS_ADDED)}", "")],
                "percentunit",
            ),
            single(
                "Queues in memory",
                "Sticky queues of workers too. Only ever more: queues that are made per workflow.",
                [Query(_LOADED, "{{task_type}}")],
                "short",
                width=8,
            ),
        ],
    )


def _backlog() -> Row:
    return Row(
        "Backlog",
        [
            Panel(
                "Backlog",
                "Tasks that wait, by queue. It rises and falls; only rising, it needs workers.",
                [Query(IN_NAMESPACE.gauge(c.APPROXIMATE_BACKLOG_COUNT, *_QUEUE), _LEGEND)],
                "short",
            ),
            Panel(
                "Age of the oldest task",
                "See the runbooks BacklogOld and BacklogWithoutPollers.",
                [
                    Query(
                        IN_NAMESPACE.gauge(c.APPROXIMATE_BACKLOG_AGE_SECONDS, *_QUEUE, how="max"),
                        _LEGEND,
                    )
                ],
                "s",
                limits(thresholds.BACKLOG_AGE_SECONDS),
            ),
            Panel(
                "Tasks without pollers",
                "Tasks per second for queues that nobody had polled for two minutes: workers that"
                " do not run, or a queue's name that is misspelt.",
                [Query(IN_NAMESPACE.rate(c.NO_POLLER_TASKS, *_QUEUE), _LEGEND)],
                "ops",
            ),
        ],
    )


def _polls() -> Row:
    return Row(
        "Polls",
        [
            Panel(
                "Pending polls",
                "Polls that wait. 0 while tasks wait: all slots of the workers are taken.",
                [Query(IN_NAMESPACE.gauge(c.PENDING_POLLS, *_QUEUE), _LEGEND)],
                "short",
            ),
            Panel(
                "Polls by result",
                "Polls per second that got a task, and that ended without. Nearly all without:"
                " more pollers than needed.",
                [
                    Query(IN_NAMESPACE.rate(c.POLL_SUCCESS), "got a task"),
                    Query(IN_NAMESPACE.rate(c.POLL_SUCCESS_SYNC), "of them, had waited"),
                    Query(IN_NAMESPACE.rate(c.POLL_TIMEOUTS), "ended without"),
                ],
                "ops",
            ),
            Panel(
                "Duration of polls",
                "How long polls wait. Those that get a task soon are workers that are busy.",
                [
                    Query(
                        IN_NAMESPACE.quantile(PERCENTILE, c.POLL_LATENCY, "poll_result"),
                        "{{poll_result}}",
                    )
                ],
                "s",
            ),
        ],
    )


def _tasks() -> Row:
    return Row(
        "Tasks",
        [
            Panel(
                "Tasks added",
                "Tasks per second, by whether a poller waited (sync_match) or they have to wait.",
                [Query(IN_NAMESPACE.rate(c.TASKS_ADDED, "task_add_result"), "{{task_add_result}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "Schedule to start",
                "From a task's being scheduled to a worker's having it, by queue.",
                [
                    Query(
                        IN_NAMESPACE.quantile(
                            PERCENTILE, c.TASK_SCHEDULE_TO_START_LATENCY, *_QUEUE
                        ),
                        _LEGEND,
                    )
                ],
                "s",
            ),
            Panel(
                "Matched at once, and after waiting",
                "The same, apart: at once it is Perdure's own time; after waiting, the workers'.",
                [
                    Query(IN_NAMESPACE.quantile(PERCENTILE, c.SYNCMATCH_LATENCY), "at once"),
                    Query(IN_NAMESPACE.quantile(PERCENTILE, c.ASYNCMATCH_LATENCY), "waited"),
                ],
                "s",
            ),
        ],
    )


def _served() -> Row:
    return Row(
        "Requests of other nodes",
        [shared.requests(_MATCHING), shared.errors(_MATCHING), shared.latency(_MATCHING)],
    )


def _history() -> Row:
    return Row("Calls to history", shared.calls(_MATCHING, "history"))
