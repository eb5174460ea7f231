"""Capacity: how much of each resource is used, what a transition costs, what is to come."""

from perdure.telemetry import catalogue as c
from perdure.telemetry import server_catalogue as s
from perdure.telemetry import workflow_catalogue as w
from perdure_alerts import thresholds
from perdure_alerts.promql import quotient
from perdure_dashboards.board import ASK, PERCENTILE, WHOLE, Board
from perdure_dashboards.panels import Limits, Panel, Query, Row, single
from perdure_dashboards.shared import limits, process

_DAY_SECONDS = 86_400
_FORECAST_DAYS = 14
_FULL = Limits(0.7, 0.9)
_TRANSITIONS = ASK.rate(c.STATE_TRANSITION_COUNT)
_CPU = process("process_cpu_seconds_total")
_BY_NODE = "{{instance}}"


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-capacity",
        "Capacity",
        "How full everything is, what one state transition costs, and what two weeks will bring.",
        [_load(), _used(), _cost(), _forecast()],
    )


def _load() -> Row:
    nodes = WHOLE.gauge(c.BUILD_INFORMATION, how="count")
    one_less = quotient(WHOLE.rate(_CPU), f"clamp_min({nodes} - 1, 1)")
    return Row(
        "Load",
        [
            single(
                "State transitions",
                "Per second: the measure of load, which everything below is compared with.",
                [Query(_TRANSITIONS, "")],
                "ops",
                width=6,
            ),
            single(
                "Fullest processor",
                "Of one: a process uses no more. Above the line add processes of its role.",
                [Query(f"max({ASK.rate(_CPU, 'instance')})", "")],
                "percentunit",
                _FULL,
                width=6,
            ),
            single(
                "Processor with a process lost",
                "What each of the others would use on average if one were lost. Above the line the"
                " cluster does not survive that: add a process.",
                [Query(one_less, "")],
                "percentunit",
                _FULL,
                width=6,
            ),
            single(
                "Fullest pool of connections",
                "Connections in use, of those that may be open: see the runbook SQLPoolSaturation.",
                [
                    Query(
                        "max("
                        + quotient(
                            ASK.gauge(s.PERSISTENCE_SQL_IN_USE, "instance"),
                            ASK.gauge(s.PERSISTENCE_SQL_MAX_OPEN_CONN, "instance"),
                        )
                        + ")",
                        "",
                    )
                ],
                "percentunit",
                limits(thresholds.POOL_RATIO),
                width=6,
            ),
        ],
    )


def _used() -> Row:
    limit = f"({ASK.gauge(c.HOST_RPS_LIMIT, 'instance')} > 0)"
    frontend = ASK.only(service_name="frontend").rate(c.SERVICE_REQUESTS, "instance")
    files = (process("process_open_fds"), process("process_max_fds"))
    return Row(
        "Used, of what there is",
        [
            Panel(
                "Requests of the limit",
                "Of the requests per second that a process lets through, where there is a limit:"
                " see the runbook RPSNearLimit.",
                [Query(quotient(frontend, limit), _BY_NODE)],
                "percentunit",
                Limits(thresholds.RPS_RATIO, None),
            ),
            Panel(
                "Processor",
                "Of one processor. The role that is full first is the bottleneck.",
                [Query(ASK.rate(_CPU, "instance"), _BY_NODE)],
                "percentunit",
                _FULL,
            ),
            Panel(
                "Event loop",
                "How late everything in a process is; it rises before the processor is full.",
                [Query(ASK.quantile(PERCENTILE, c.EVENT_LOOP_LAG, "instance"), _BY_NODE)],
                "s",
                limits(thresholds.EVENT_LOOP_LAG_SECONDS),
            ),
            Panel(
                "Workflows in memory",
                "Of the memory that they may take. Full is well as long as few look-ups miss.",
                [
                    Query(
                        quotient(
                            ASK.gauge(c.CACHE_USAGE, "instance"),
                            ASK.gauge(c.CACHE_SIZE, "instance"),
                        ),
                        _BY_NODE,
                    ),
                ],
                "percentunit",
            ),
            Panel(
                "Open files of the limit",
                "Files and connections. Near the limit, raise it (LimitNOFILE of the unit).",
                [Query(quotient(*(ASK.gauge(metric, "instance") for metric in files)), _BY_NODE)],
                "percentunit",
                _FULL,
            ),
            Panel(
                "Workers that are remembered",
                "Of how many may be; beyond it the oldest are forgotten, and lists leave them out.",
                [
                    Query(
                        ASK.gauge(c.WORKER_REGISTRY_CAPACITY_UTILIZATION, "instance", how="max"),
                        _BY_NODE,
                    )
                ],
                "percentunit",
                _FULL,
            ),
        ],
    )


def _cost() -> Row:
    return Row(
        "Cost of one transition",
        [
            Panel(
                "Processor time",
                "Of all processes. It falls with load, since transitions share transactions; if it"
                " rises, something new is done.",
                [Query(quotient(ASK.rate(_CPU), _TRANSITIONS), "per transition")],
                "s",
            ),
            Panel(
                "Operations of the store",
                "Reads rise when workflows do not fit into memory.",
                [Query(quotient(ASK.rate(c.PERSISTENCE_REQUESTS), _TRANSITIONS), "per transition")],
                "short",
            ),
            Panel(
                "Bytes of payloads",
                "What commands bring. With the retention it says how large the database becomes.",
                [
                    Query(
                        quotient(ASK.rate(w.EVENT_BLOB_SIZE, part="sum"), _TRANSITIONS),
                        "per transition",
                    )
                ],
                "bytes",
            ),
        ],
    )


def _forecast() -> Row:
    ahead = _FORECAST_DAYS * _DAY_SECONDS
    memory, files = c.MEMORY_ALLOCATED, process("process_open_fds")
    return Row(
        f"In {_FORECAST_DAYS} days, if the last day goes on",
        [
            Panel(
                "Memory to come",
                "Resident memory. More than the host has: a leak, or a cache that is too large.",
                [Query(ASK.forecast(memory, "instance", ahead_seconds=ahead), _BY_NODE)],
                "bytes",
            ),
            Panel(
                "Open files to come",
                "Files and connections. Above the limit: clients that do not close connections.",
                [
                    Query(ASK.forecast(files, "instance", ahead_seconds=ahead), _BY_NODE),
                    Query(ASK.gauge(process("process_max_fds"), how="min"), "limit"),
                ],
                "short",
            ),
            Panel(
                "Backlog to come",
                "Tasks that wait, of all queues. Above 0: more tasks come than workers do.",
                [Query(ASK.forecast(c.APPROXIMATE_BACKLOG_COUNT, ahead_seconds=ahead), "tasks")],
                "short",
            ),
        ],
    )
