"""Is the cluster well, and if not, where to look."""

from perdure.telemetry import catalogue as c
from perdure_alerts import thresholds
from perdure_alerts.promql import Regex
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, PERCENTILE, WHOLE, Board, restarts
from perdure_dashboards.panels import Limits, Panel, Query, Row, single
from perdure_dashboards.shared import limits, process

_FRONTEND = WHOLE.only(service_name="frontend")
_STARTS = Regex("StartWorkflowExecution|SignalWithStartWorkflowExecution")
_ENDINGS = {
    "completed": c.WORKFLOW_SUCCESS,
    "failed": c.WORKFLOW_FAILED,
    "timed out": c.WORKFLOW_TIMEOUT,
    "terminated": c.WORKFLOW_TERMINATE,
    "cancelled": c.WORKFLOW_CANCEL,
    "continued as new": c.WORKFLOW_CONTINUED_AS_NEW,
}


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-overview",
        "Cluster overview",
        "Requests, workflows, nodes, the store and the processes of a cluster.",
        [_state(), _requests(), _workflows(), _cluster(), _store(), _processes()],
    )


def _state() -> Row:
    faults = WHOLE.gauge(c.MEMBERSHIP_UNOWNED_SHARDS, how="max")
    oldest = WHOLE.gauge(c.APPROXIMATE_BACKLOG_AGE_SECONDS, how="max")
    return Row(
        "State",
        [
            single(
                "Live nodes by role",
                "Nodes that take work. None of a role: see the runbook RoleWithoutNodes.",
                [Query(shared.live_nodes(WHOLE), "{{role}}")],
                "short",
                Limits(None, 1, falling=True),
                width=8,
            ),
            single(
                "Shards without an owner",
                "Their workflows stand still. Seconds of it after a node was killed are normal;"
                " longer: see the runbook ShardsUnowned.",
                [Query(faults, "")],
                "short",
                Limits(None, 1),
            ),
            single(
                "Commits lost",
                "Transitions per second that the database did not confirm: see the runbook"
                " CommitsLost.",
                [Query(WHOLE.rate(c.GROUP_COMMIT_LOST), "")],
                "ops",
                Limits(None, 0.001),
            ),
            single(
                "Oldest waiting task",
                "Old tasks mean too few workers, or none: board Matching.",
                [Query(oldest, "")],
                "s",
                limits(thresholds.BACKLOG_AGE_SECONDS),
            ),
            single(
                "Processes by release",
                "Several releases at a time are a rollout that has not ended.",
                [Query(WHOLE.gauge(c.BUILD_INFORMATION, "build_version"), "{{build_version}}")],
                "short",
            ),
        ],
    )


def _requests() -> Row:
    return Row(
        "Requests of clients and workers",
        [shared.requests(_FRONTEND), shared.errors(_FRONTEND), shared.latency(_FRONTEND)],
    )


def _workflows() -> Row:
    return Row(
        "Workflows",
        [
            Panel(
                "Workflows started and closed",
                "Runs per second. More starts than ends for long: open workflows pile up. Starts"
                " are requests to start; those refused count too.",
                [
                    Query(
                        _FRONTEND.only(operation=_STARTS).rate(c.SERVICE_REQUESTS), "asked to start"
                    ),
                    *(Query(WHOLE.rate(metric), name) for name, metric in _ENDINGS.items()),
                ],
                "ops",
            ),
            Panel(
                "Task latency",
                "Time from a task's being scheduled to a worker's having it. High: too few workers,"
                " or their pollers are too few. Board Matching tells which queue.",
                [
                    Query(
                        WHOLE.quantile(PERCENTILE, c.TASK_SCHEDULE_TO_START_LATENCY, "task_type"),
                        "{{task_type}}",
                    )
                ],
                "s",
            ),
            Panel(
                "Backlog",
                "Tasks that wait for a worker. It is normal that it rises and falls; one that only"
                " rises needs workers.",
                [Query(WHOLE.gauge(c.APPROXIMATE_BACKLOG_COUNT, "task_type"), "{{task_type}}")],
                "short",
                stacked=True,
            ),
        ],
    )


def _cluster() -> Row:
    renewals = ASK.quantile(PERCENTILE, c.MEMBERSHIP_LEASE_RENEWAL_LATENCY, "instance")
    return Row(
        "Nodes",
        [
            Panel(
                "Live nodes by role",
                "As the node sees it that sees the most. One less for a moment is a restart.",
                [Query(shared.live_nodes(WHOLE), "{{role}}")],
                "short",
            ),
            Panel(
                "Shards by node",
                "Shards that each process holds. They move when nodes come and go; at other times a"
                " change is a node that lost its lease.",
                [Query(ASK.gauge(c.NUMSHARDS_GAUGE, "instance"), "{{instance}}")],
                "short",
                stacked=True,
            ),
            Panel(
                "Changes of membership",
                "Times per second that nodes came, went or changed. At other times than rollouts:"
                " look for LeaseLapsed and CrashLoop.",
                [Query(ASK.rate(c.MEMBERSHIP_CHANGED_COUNT, "instance"), "{{instance}}")],
                "ops",
            ),
            Panel(
                "Lease renewals",
                "How long renewals take: each is a short transaction. All nodes slow: the database."
                " One: its network, or its event loop.",
                [Query(renewals, "{{instance}}")],
                "s",
            ),
            Panel(
                "Lease renewals that failed",
                "Single ones cost nothing. Many: see the runbook LeaseRenewalsFailing.",
                [Query(ASK.rate(c.MEMBERSHIP_LEASE_FAILURES, "instance"), "{{instance}}")],
                "ops",
            ),
            Panel(
                "Leases lost",
                "A lease that ran out, or a node that others removed, while it ran: see the runbook"
                " LeaseLapsed.",
                [
                    Query(ASK.rate(c.MEMBERSHIP_LEASE_LAPSES, "instance"), "{{instance}} lapsed"),
                    Query(ASK.rate(c.MEMBERSHIP_NODE_LOST, "instance"), "{{instance}} removed"),
                ],
                "ops",
            ),
        ],
    )


def _store() -> Row:
    return Row("Store", [shared.commit_latency(), shared.batch_size(), shared.commits_lost()])


def _processes() -> Row:
    cpu = ASK.rate(process("process_cpu_seconds_total"), "instance")
    return Row(
        "Processes",
        [
            Panel(
                "Processor",
                "Of one processor: a process uses no more than one, and is full at 100 %. Then add"
                " processes of its role.",
                [Query(cpu, "{{instance}}")],
                "percentunit",
                Limits(0.7, 0.9),
            ),
            Panel(
                "Memory",
                "Resident memory. One that rises for hours without load is a leak: restart the"
                " process, and report it.",
                [Query(ASK.gauge(c.MEMORY_ALLOCATED, "instance"), "{{instance}}")],
                "bytes",
            ),
            Panel(
                "Event loop lag",
                "How late everything in the process is: see the runbook EventLoopBlocked.",
                [Query(ASK.quantile(PERCENTILE, c.EVENT_LOOP_LAG, "instance"), "{{instance}}")],
                "s",
                limits(thresholds.EVENT_LOOP_LAG_SECONDS),
            ),
            Panel(
                "Garbage collection",
                "Pauses; the event loop stands still meanwhile. Long ones: many objects in memory."
                " A smaller cache (history.hostLevelCacheMaxSizeBytes) helps.",
                [Query(ASK.quantile(PERCENTILE, c.MEMORY_GC_PAUSE_MS, "instance"), "{{instance}}")],
                "ms",
            ),
            Panel(
                "Open files",
                "Files and connections. Near the limit, raise it (LimitNOFILE of the unit).",
                [
                    Query(ASK.gauge(process("process_open_fds"), "instance"), "{{instance}}"),
                    Query(ASK.gauge(process("process_max_fds"), how="min"), "limit"),
                ],
                "short",
            ),
            Panel(
                "Restarts",
                "Starts of a process within an hour. Outside rollouts: see the runbook CrashLoop.",
                [Query(restarts("1h"), "{{instance}}")],
                "short",
            ),
        ],
    )
