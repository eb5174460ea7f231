"""Alerts on the store's operations and connections, and on limits that are nearly reached."""

from perdure.telemetry import catalogue, server_catalogue
from perdure_alerts import thresholds
from perdure_alerts.alert import Alert, both
from perdure_alerts.promql import Asker, quotient

_STORE, _VISIBILITY, _FRONTEND = "perdure-store", "perdure-visibility", "perdure-frontend"
_TWO = Asker("2m", {})
_FIVE = Asker("5m", {})
_NODE = ("cluster", "instance")


def store() -> list[Alert]:
    """Returns the alerts on the store."""
    failed = quotient(
        _FIVE.rate(catalogue.PERSISTENCE_ERRORS, *_NODE),
        _FIVE.rate(catalogue.PERSISTENCE_REQUESTS, *_NODE),
    )
    in_use = quotient(
        _TWO.gauge(server_catalogue.PERSISTENCE_SQL_IN_USE, *_NODE),
        _TWO.gauge(server_catalogue.PERSISTENCE_SQL_MAX_OPEN_CONN, *_NODE),
    )
    reconnects = _FIVE.increase(server_catalogue.PERSISTENCE_SESSION_REFRESH_FAILURES, *_NODE)
    return [
        *both(
            "PersistenceAvailability",
            failed,
            thresholds.STORE_ERROR_RATIO,
            hold="2m",
            summary="{{ $value | humanizePercentage }} of the store's operations of"
            " {{ $labels.instance }} fail.",
            board=_STORE,
        ),
        *both(
            "PersistenceLatency",
            _FIVE.quantile("0.99", catalogue.PERSISTENCE_LATENCY, *_NODE),
            thresholds.STORE_LATENCY_SECONDS,
            hold="5m",
            summary="One operation of the store in a hundred of {{ $labels.instance }} takes"
            " {{ $value | humanizeDuration }} or longer.",
            board=_STORE,
        ),
        *both(
            "SQLPoolSaturation",
            in_use,
            thresholds.POOL_RATIO,
            hold="5m",
            summary="{{ $value | humanizePercentage }} of the connections of"
            " {{ $labels.instance }} to the database are in use.",
            board=_STORE,
        ),
        Alert(
            "DatabaseReconnectFailing",
            f"{reconnects} > 0",
            "2m",
            "warning",
            "{{ $labels.instance }} could not make connections to the database.",
            _STORE,
        ),
    ]


def service() -> list[Alert]:
    """Returns the alerts on what clients ask for."""
    failed = quotient(
        _FIVE.rate(server_catalogue.VISIBILITY_PERSISTENCE_ERRORS, *_NODE),
        _FIVE.rate(server_catalogue.VISIBILITY_PERSISTENCE_REQUESTS, *_NODE),
    )
    frontend = _FIVE.only(service_name="frontend")
    # A limit of 0 is none.
    limit = f"({frontend.gauge(catalogue.HOST_RPS_LIMIT, *_NODE)} > 0)"
    asked = quotient(frontend.rate(catalogue.SERVICE_REQUESTS, *_NODE), limit)
    return [
        *both(
            "VisibilityAvailability",
            failed,
            thresholds.VISIBILITY_ERROR_RATIO,
            hold="2m",
            summary="{{ $value | humanizePercentage }} of the lists and counts of"
            " {{ $labels.instance }} fail.",
            board=_VISIBILITY,
        ),
        Alert(
            "RPSNearLimit",
            f"{asked} > {thresholds.RPS_RATIO:g}",
            "5m",
            "warning",
            "{{ $labels.instance }} gets {{ $value | humanizePercentage }} of the requests that it"
            " lets through.",
            _FRONTEND,
        ),
    ]
