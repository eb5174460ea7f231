"""Store: what is asked of it, its transactions, and the connections to PostgreSQL."""

from perdure.telemetry import catalogue as c
from perdure.telemetry import server_catalogue as s
from perdure_alerts import thresholds
from perdure_alerts.promql import quotient
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, PERCENTILE, Board
from perdure_dashboards.panels import Limits, Panel, Query, Row, single
from perdure_dashboards.shared import limits

_FAILED = f"({ASK.rate(c.PERSISTENCE_ERRORS)} or 0 * {ASK.rate(c.PERSISTENCE_REQUESTS)})"


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-store",
        "Store and PostgreSQL",
        "The store: its operations, transactions, connections, and the leases of nodes.",
        [_state(), _operations(), _commits(), _connections(), _leases()],
    )


def _state() -> Row:
    return Row(
        "State",
        [
            single(
                "Failed operations",
                "Share of the store's operations that failed: see the runbook"
                " PersistenceAvailability.",
                [Query(quotient(_FAILED, ASK.rate(c.PERSISTENCE_REQUESTS)), "")],
                "percentunit",
                limits(thresholds.STORE_ERROR_RATIO),
                width=6,
            ),
            single(
                "Latency of operations",
                "See the runbook PersistenceLatency.",
                [Query(ASK.quantile(PERCENTILE, c.PERSISTENCE_LATENCY), "")],
                "s",
                limits(thresholds.STORE_LATENCY_SECONDS),
                width=6,
            ),
            single(
                "Connections in use",
                "Of those that may be open, in the fullest process: see the runbook"
                " SQLPoolSaturation.",
                [Query(f"max({_pool_share()})", "")],
                "percentunit",
                limits(thresholds.POOL_RATIO),
                width=6,
            ),
            single(
                "Connections that fail",
                "Connections per second that could not be made: see the runbook"
                " DatabaseReconnectFailing.",
                [Query(ASK.rate(s.PERSISTENCE_SESSION_REFRESH_FAILURES), "")],
                "ops",
                Limits(0.001, None),
                width=6,
            ),
        ],
    )


def _pool_share() -> str:
    return quotient(
        ASK.gauge(s.PERSISTENCE_SQL_IN_USE, "instance"),
        ASK.gauge(s.PERSISTENCE_SQL_MAX_OPEN_CONN, "instance"),
    )


def _operations() -> Row:
    return Row(
        "Operations",
        [
            Panel(
                "Operations",
                "What is asked of the store, per second. Reads of runs that rise without load: the"
                " cache of workflows is too small.",
                [Query(ASK.rate(c.PERSISTENCE_REQUESTS, "operation"), "{{operation}}")],
                "ops",
                stacked=True,
            ),
            Panel(
                "Latency by operation",
                "All operations slow: the database, or the way to it. One: its statement; look at"
                " pg_stat_statements.",
                [
                    Query(
                        ASK.quantile(PERCENTILE, c.PERSISTENCE_LATENCY, "operation"),
                        "{{operation}}",
                    )
                ],
                "s",
                limits(thresholds.STORE_LATENCY_SECONDS),
            ),
            Panel(
                "Failures by error and operation",
                "Operations per second that failed. StoreUnavailable: the database is away or too"
                " slow. UnknownOutcome: it went away during a commit.",
                [
                    Query(
                        ASK.rate(s.PERSISTENCE_ERROR_WITH_TYPE, "error_type", "operation"),
                        "{{error_type}} {{operation}}",
                    )
                ],
                "ops",
            ),
        ],
    )


def _commits() -> Row:
    return Row(
        "Transactions", [shared.commit_latency(), shared.batch_size(), shared.commits_lost()]
    )


def _connections() -> Row:
    pool = {
        "may be open": s.PERSISTENCE_SQL_MAX_OPEN_CONN,
        "open": s.PERSISTENCE_SQL_OPEN_CONN,
        "idle": s.PERSISTENCE_SQL_IDLE_CONN,
        "in use": s.PERSISTENCE_SQL_IN_USE,
    }
    made = {
        "tried": s.PERSISTENCE_SESSION_REFRESH_ATTEMPTS,
        "failed": s.PERSISTENCE_SESSION_REFRESH_FAILURES,
    }
    return Row(
        "Connections to PostgreSQL",
        [
            Panel(
                "Connections",
                "Of all processes together. What may be open has to fit into the database's"
                " max_connections, with room for a rollout.",
                [Query(ASK.gauge(metric), name) for name, metric in pool.items()],
                "short",
            ),
            Panel(
                "Connections in use by process",
                "Of those that may be open. At 100 % reads wait for each other: raise"
                " store.readers, or see which operation is slow.",
                [Query(_pool_share(), "{{instance}}")],
                "percentunit",
                limits(thresholds.POOL_RATIO),
            ),
            Panel(
                "Connections made",
                "Per second. They are made at start and after they broke; steadily: something"
                " between a node and the database cuts them.",
                [Query(ASK.rate(metric), name) for name, metric in made.items()],
                "ops",
            ),
        ],
    )


def _leases() -> Row:
    return Row(
        "Leases of nodes",
        [
            Panel(
                "Renewal of leases",
                "How long the database takes to renew a node's lease, once a second. A node whose"
                " renewals take as long as the lease stops.",
                [
                    Query(
                        ASK.quantile(PERCENTILE, c.MEMBERSHIP_LEASE_RENEWAL_LATENCY, "instance"),
                        "{{instance}}",
                    )
                ],
                "s",
            ),
            Panel(
                "Renewals that fail",
                "Per second; they are tried again. See the runbook LeaseRenewalsFailing.",
                [Query(ASK.rate(c.MEMBERSHIP_LEASE_FAILURES, "instance"), "{{instance}}")],
                "ops",
            ),
        ],
    )
