"""Frontend: what clients and workers ask, and what the frontend asks of other roles."""

from perdure.telemetry import catalogue as c
from perdure.telemetry import server_catalogue as s
from perdure_alerts import thresholds
from perdure_alerts.promql import Regex
from perdure_alerts.rules import SYSTEM_FAULTS
from perdure_dashboards import shared
from perdure_dashboards.board import ASK, IN_NAMESPACE, PERCENTILE, Board
from perdure_dashboards.panels import Panel, Query, Row
from perdure_dashboards.shared import NOT_WAITING, limits

_POLLS = Regex("Poll.*")
_FRONTEND = ASK.only(service_name="frontend")
_IN_NAMESPACE = IN_NAMESPACE.only(service_name="frontend")


def board() -> Board:
    """Returns the board."""
    return Board(
        "perdure-frontend",
        "Frontend",
        "Requests of clients and workers: how many, how long, what fails.",
        [
            *(_requests(), _tenants(), _limits(), _authorization(), _under_way()),
            *(_calls("history"), _calls("matching")),
        ],
        namespaces=True,
    )


def _requests() -> Row:
    return Row(
        "Requests",
        [
            shared.requests(_IN_NAMESPACE),
            shared.errors(_IN_NAMESPACE),
            shared.latency(_IN_NAMESPACE),
        ],
    )


def _tenants() -> Row:
    faults = _FRONTEND.only(error_type=SYSTEM_FAULTS).rate(c.SERVICE_ERROR_WITH_TYPE)
    every = _FRONTEND.rate(c.SERVICE_REQUESTS)
    return Row(
        "Service",
        [
            Panel(
                "Requests that fail by our fault",
                "Share of requests that failed through no fault of their sender: see the runbook"
                " FrontendErrors.",
                # Without a fault there is no series of faults.
                [Query(f"({faults} or 0 * {every}) / {every}", "failed")],
                "percentunit",
                limits(thresholds.FRONTEND_ERROR_RATIO),
            ),
            Panel(
                "Requests by namespace",
                "Who the load comes from.",
                [Query(_IN_NAMESPACE.rate(c.SERVICE_REQUESTS, "namespace"), "{{namespace}}")],
                "reqps",
                stacked=True,
            ),
            Panel(
                "Latency by namespace",
                "Polls left out. One namespace only: its payloads, histories or queries are large.",
                [
                    Query(
                        _IN_NAMESPACE.only(operation=NOT_WAITING).quantile(
                            PERCENTILE, c.SERVICE_LATENCY, "namespace"
                        ),
                        "{{namespace}}",
                    )
                ],
                "s",
            ),
        ],
    )


def _limits() -> Row:
    by_limit = ("namespace", "resource_exhausted_cause", "resource_exhausted_scope")
    return Row(
        "Limits",
        [
            Panel(
                "Refused by a limit",
                "Requests that a limit refused, by whose it is: see the runbook"
                " NamespaceThrottled. Nothing here is well.",
                [
                    Query(
                        _IN_NAMESPACE.rate(c.SERVICE_ERRORS_RESOURCE_EXHAUSTED, *by_limit),
                        "{{namespace}} {{resource_exhausted_cause}} {{resource_exhausted_scope}}",
                    )
                ],
                "reqps",
            ),
            Panel(
                "Requests and their limit, by process",
                "How near each process is to what it lets through. A limit of 0 is none.",
                [
                    Query(_FRONTEND.rate(c.SERVICE_REQUESTS, "instance"), "{{instance}}"),
                    Query(_FRONTEND.gauge(c.HOST_RPS_LIMIT, "instance"), "{{instance}} limit"),
                ],
                "reqps",
            ),
            Panel(
                "Limits of namespaces",
                "Requests per second of a namespace that one process lets through; 0 is any.",
                [
                    Query(
                        _IN_NAMESPACE.gauge(c.NAMESPACE_HOST_RPS_LIMIT, "namespace", how="max"),
                        "{{namespace}}",
                    )
                ],
                "reqps",
            ),
        ],
    )


def _authorization() -> Row:
    return Row(
        "Authorization",
        [
            Panel(
                "Callers refused",
                "Calls that their callers may not make, or whose token is bad: the log says which."
                " Without keys: see the runbook AuthorizationSystemFailure.",
                [
                    Query(
                        _IN_NAMESPACE.rate(s.SERVICE_ERRORS_UNAUTHORIZED, "namespace"),
                        "{{namespace}}",
                    ),
                    Query(
                        _IN_NAMESPACE.rate(s.SERVICE_ERRORS_AUTHORIZE_FAILED, "namespace"),
                        "{{namespace}} without keys",
                    ),
                ],
                "reqps",
            ),
            Panel(
                "Duration of decisions",
                "Microseconds where tokens are known. Seconds: tokens name keys that are not, and"
                " their source is slow.",
                [
                    Query(
                        _IN_NAMESPACE.quantile(PERCENTILE, s.SERVICE_AUTHORIZATION_LATENCY),
                        "all namespaces",
                    )
                ],
                "s",
            ),
            Panel(
                "Keys of tokens",
                "How many each process knows, and reads of their sources that failed: see the"
                " runbook AuthorizationSystemFailure.",
                [
                    Query(_FRONTEND.gauge(s.AUTHORIZATION_KEYS, "instance"), "{{instance}}"),
                    Query(
                        _FRONTEND.only(outcome="failed").increase(
                            s.AUTHORIZATION_KEY_READS, "instance"
                        ),
                        "{{instance}} failed reads",
                    ),
                ],
                "short",
            ),
        ],
    )


def _under_way() -> Row:
    return Row(
        "Under way",
        [
            Panel(
                "Requests under way",
                "Polls wait and are many. Others that pile up: the roles behind are slow.",
                [Query(_FRONTEND.gauge(c.SERVICE_PENDING_REQUESTS, "operation"), "{{operation}}")],
                "short",
                stacked=True,
            ),
            Panel(
                "Requests by node",
                "One node with far more than others: clients keep their connections. A bounded age"
                " of connections spreads them.",
                [Query(_FRONTEND.rate(c.SERVICE_REQUESTS, "instance"), "{{instance}}")],
                "reqps",
                stacked=True,
            ),
            Panel(
                "Duration of polls",
                "How long polls wait for a task; about a minute without tasks is normal.",
                [
                    Query(
                        _IN_NAMESPACE.only(operation=_POLLS).quantile(
                            PERCENTILE, c.SERVICE_LATENCY, "operation"
                        ),
                        "{{operation}}",
                    )
                ],
                "s",
            ),
        ],
    )


def _calls(role: str) -> Row:
    return Row(f"Calls to {role}", shared.calls(_FRONTEND, role))
