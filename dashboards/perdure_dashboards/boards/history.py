"""History: shards, workflows in memory, commits, and what other nodes ask."""

from perdure.telemetry import catalogue as c
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, IN_NAMESPACE, PERCENTILE, WHOLE, Board
from perdure_dashboards.panels import Limits, Panel, Query, Row

_HISTORY = ASK.only(service_name="history")
_IN_NAMESPACE = IN_NAMESPACE.only(service_name="history")
_ACTIVITIES = {
    "completed": c.ACTIVITY_SUCCESS,
    "failed": c.ACTIVITY_FAIL,
    "timed out": c.ACTIVITY_TIMEOUT,
    "cancelled": c.ACTIVITY_CANCEL,
    "attempts failed": c.ACTIVITY_TASK_FAIL,
    "attempts timed out": c.ACTIVITY_TASK_TIMEOUT,
}


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-history",
        "History",
        "The state of workflows: who owns it, what is in memory, how it is made durable.",
        [_shards(), _work(), _commits(), _memory(), _served(), _others()],
        namespaces=True,
    )


def _shards() -> Row:
    moves = {
        "gained": c.SHARDITEM_CREATED_COUNT,
        "lost": c.SHARDITEM_REMOVED_COUNT,
    }
    return Row(
        "Shards",
        [
            Panel(
                "Shards held by node",
                "The sum is all shards of the cluster. They move when nodes come and go.",
                [Query(ASK.gauge(c.NUMSHARDS_GAUGE, "instance"), "{{instance}}")],
                "short",
                stacked=True,
            ),
            Panel(
                "Shards without an owner",
                "Their workflows stand still: see the runbook ShardsUnowned.",
                [
                    Query(WHOLE.gauge(c.MEMBERSHIP_UNOWNED_SHARDS, how="max"), "not owned"),
                    Query(
                        f"{WHOLE.gauge(c.MEMBERSHIP_SHARDS, how='max')}"
                        f" - {WHOLE.gauge(c.NUMSHARDS_GAUGE)}",
                        "not held",
                    ),
                ],
                "short",
                Limits(None, 1),
            ),
            Panel(
                "Shards that move",
                "Shards per second that processes gain and lose. Without nodes that come or go: a"
                " node loses its lease, or commits are lost.",
                [
                    Query(ASK.rate(metric, "instance"), f"{{{{instance}}}} {name}")
                    for name, metric in moves.items()
                ],
                "ops",
            ),
            Panel(
                "Acquisition of shards",
                "How long it takes to raise a shard's epoch: the store's answer.",
                [
                    Query(
                        ASK.quantile(PERCENTILE, c.SHARDITEM_ACQUISITION_LATENCY, "instance"),
                        "{{instance}}",
                    )
                ],
                "s",
            ),
        ],
    )


def _work() -> Row:
    return Row(
        "Work",
        [
            Panel(
                "State transitions",
                "The measure of load: every answer that changes a workflow is one. Compare it with"
                " processor and commits to see how much room is left.",
                [Query(_IN_NAMESPACE.rate(c.STATE_TRANSITION_COUNT, "namespace"), "{{namespace}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "Activities",
                "How activities and their attempts end. Many attempts that time out: workers that"
                " die, or timeouts that are too short.",
                [Query(_IN_NAMESPACE.rate(metric), name) for name, metric in _ACTIVITIES.items()],
                "ops",
            ),
            Panel(
                "Duration of workflows",
                "From start to end, by type, of those that ended.",
                [
                    Query(
                        _IN_NAMESPACE.quantile(
                            PERCENTILE, c.WORKFLOW_SCHEDULE_TO_CLOSE_LATENCY, "workflowType"
                        ),
                        "{{workflowType}}",
                    )
                ],
                "s",
            ),
            Panel(
                "Duration of activities",
                "From an attempt's start to the worker's answer, by type: the workers' own time.",
                [
                    Query(
                        _IN_NAMESPACE.quantile(
                            PERCENTILE, c.ACTIVITY_START_TO_CLOSE_LATENCY, "activityType"
                        ),
                        "{{activityType}}",
                    )
                ],
                "s",
            ),
        ],
    )


def _commits() -> Row:
    reads = ASK.quantile(PERCENTILE, c.PERSISTENCE_LATENCY, "operation")
    return Row(
        "Store",
        [
            shared.commit_latency(),
            shared.batch_size(),
            shared.commits_lost(),
            Panel(
                "Store operations",
                "Operations per second. Reads of workflows that rise: the cache is too small, or"
                " shards move.",
                [Query(ASK.rate(c.PERSISTENCE_REQUESTS, "operation"), "{{operation}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "Latency of store operations",
                "Everything slow: the database. One operation: a missing statistic or index there.",
                [Query(reads, "{{operation}}")],
                "s",
            ),
            Panel(
                "Failed store operations",
                "The log says why. All operations: see the runbook DatabaseUnreachable.",
                [Query(ASK.rate(c.PERSISTENCE_ERRORS, "operation"), "{{operation}}")],
                "ops",
            ),
        ],
    )


def _memory() -> Row:
    misses = ASK.rate(c.CACHE_MISS, "instance")
    lookups = ASK.rate(c.CACHE_REQUESTS, "instance")
    return Row(
        "Memory",
        [
            Panel(
                "Cache: share of hits",
                "Look-ups that found the workflow in memory; a new workflow is a miss. Low without"
                " many starts: give the cache more memory (history.hostLevelCacheMaxSizeBytes).",
                [Query(f"1 - {misses} / {lookups}", "{{instance}}")],
                "percentunit",
                most=1,
            ),
            Panel(
                "Cache: memory",
                "About how much the workflows in memory take. At its limit it drops those that were"
                " not used for longest.",
                [
                    Query(ASK.gauge(c.CACHE_USAGE, "instance"), "{{instance}}"),
                    Query(ASK.gauge(c.CACHE_SIZE, how="max"), "limit of one"),
                ],
                "bytes",
            ),
            Panel(
                "Workflows in memory",
                "All that were used lately, closed ones too.",
                [Query(ASK.gauge(c.CACHE_ENTRIES, "instance"), "{{instance}}")],
                "short",
                stacked=True,
            ),
            Panel(
                "Timers in memory",
                "Timers due within a minute, or being handled. One that only rises: they cannot be"
                " handled, see Failed store operations.",
                [Query(ASK.gauge(c.TIMERS_IN_MEMORY, "instance"), "{{instance}}")],
                "short",
                stacked=True,
            ),
            Panel(
                "Messages in memory",
                "Signals and the like to other workflows, not yet answered. If it only rises: see"
                " Messages between workflows.",
                [Query(ASK.gauge(c.MESSAGES_IN_MEMORY, "instance"), "{{instance}}")],
                "short",
                stacked=True,
            ),
        ],
    )


def _served() -> Row:
    return Row(
        "Requests of other nodes",
        [shared.requests(_HISTORY), shared.errors(_HISTORY), shared.latency(_HISTORY)],
    )


def _others() -> Row:
    return Row(
        "Tasks and messages for others",
        [
            Panel(
                "Hints",
                "Tasks that matching on other nodes is told of, per second. What is dropped is read"
                " from the store later, and late by seconds. Retried: matching is away.",
                [
                    Query(ASK.rate(c.HINTS_SENT), "sent"),
                    Query(ASK.rate(c.HINTS_RETRIED), "retried"),
                    Query(ASK.rate(c.HINTS_DROPPED), "dropped"),
                ],
                "ops",
            ),
            Panel(
                "Messages between workflows",
                "Signals, cancellations and starts of children, per second. Refused: the other"
                " workflow has ended, or there is none. Retried: its shard has no owner just now.",
                [
                    Query(ASK.rate(c.MESSAGES_DELIVERED), "delivered"),
                    Query(ASK.rate(c.MESSAGES_REFUSED), "refused"),
                    Query(ASK.rate(c.MESSAGES_RETRIED), "retried"),
                ],
                "ops",
            ),
            Panel(
                "Starts undone",
                "Tasks whose worker had gone before it got them; they are offered again. Many:"
                " workers whose connections break, or whose polls time out before ours.",
                [Query(ASK.rate(c.STARTS_UNDONE, "instance"), "{{instance}}")],
                "ops",
            ),
        ],
    )
