"""The alerts: what an operator must act on.

Each has a runbook of its name in `alerts/runbooks` and is seen on a panel of a dashboard. An alert
of two severities is two rules of one name.
"""

from perdure.telemetry import catalogue, server_catalogue, tls_catalogue
from perdure_alerts import capacity_rules, thresholds
from perdure_alerts.alert import Alert, Group, both
from perdure_alerts.promql import Asker, Regex, Unlike

OVERVIEW, HISTORY, MATCHING, FRONTEND, WORKER = (
    f"perdure-{name}" for name in ("overview", "history", "matching", "frontend", "worker")
)
"""Uids of dashboards."""
SYSTEM_FAULTS = Regex("serviceerror_(Internal|Unavailable|PeerUnreachable|NotOwner|Remote)")
"""Errors that are no answer to what was asked."""
_TWO = Asker("2m", {})
_FIVE = Asker("5m", {})
_HALF_HOUR = Asker("30m", {})
_HOUR = Asker("1h", {})
_DAY = Asker("1d", {})
_ROLES = {"frontend|history|matching": "critical", "worker": "warning"}
_QUEUE = ("cluster", "namespace", "taskqueue", "task_type")
_NODE = ("cluster", "instance")


def groups() -> list[Group]:
    """Returns all alerts."""
    return [
        Group("perdure-cluster", [*_roles(), *_shards(), *_leases(), *_processes()]),
        Group("perdure-store", [*_store(), *capacity_rules.store()]),
        Group("perdure-service", [*_frontend(), *_queues(), *_schedules()]),
        Group("perdure-certificates", [*_certificates()]),
        Group("perdure-authorization", [*_authorization()]),
        Group("perdure-capacity", [*capacity_rules.service()]),
    ]


def _roles() -> list[Alert]:
    live = _TWO.only(state="up")
    summary = "No live node serves {{ $labels.role }}."
    return [
        Alert(
            "ClusterAbsent",
            f"absent({catalogue.BUILD_INFORMATION.name})",
            "3m",
            "critical",
            "Prometheus sees no Perdure process at all.",
            OVERVIEW,
        ),
        *(
            Alert(
                "RoleWithoutNodes",
                live.only(role=Regex(roles)).gauge(
                    catalogue.MEMBERSHIP_LIVE_NODES, "cluster", "role", how="max"
                )
                + " == 0",
                "1m",
                severity,
                summary,
                OVERVIEW,
            )
            for roles, severity in (
                ("frontend|history|matching", "critical"),
                ("worker", "warning"),
            )
        ),
    ]


def _shards() -> list[Alert]:
    unowned = _TWO.gauge(catalogue.MEMBERSHIP_UNOWNED_SHARDS, "cluster", how="max")
    shards = _TWO.gauge(catalogue.MEMBERSHIP_SHARDS, "cluster", how="max")
    held = _TWO.gauge(catalogue.NUMSHARDS_GAUGE, "cluster")
    return [
        Alert(
            "ShardsUnowned",
            f"{unowned} > 0 or {shards} - {held} > 0",
            "1m",
            "critical",
            "{{ $value }} shards have no live owner: their workflows stand still.",
            HISTORY,
        )
    ]


def _leases() -> list[Alert]:
    failures = _FIVE.increase(catalogue.MEMBERSHIP_LEASE_FAILURES, *_NODE)
    lapses = _FIVE.increase(catalogue.MEMBERSHIP_LEASE_LAPSES, *_NODE)
    losses = _FIVE.increase(catalogue.MEMBERSHIP_NODE_LOST, *_NODE)
    return [
        Alert(
            "LeaseRenewalsFailing",
            f"{failures} > {thresholds.LEASE_FAILURES:g}",
            "1m",
            "warning",
            "{{ $labels.instance }} often cannot renew its lease.",
            OVERVIEW,
        ),
        Alert(
            "LeaseLapsed",
            f"{lapses} + {losses} > 0",
            "0m",
            "critical",
            "{{ $labels.instance }} lost its lease while it ran.",
            OVERVIEW,
        ),
    ]


def _processes() -> list[Alert]:
    lag = _FIVE.quantile("0.99", catalogue.EVENT_LOOP_LAG, *_NODE)
    (started,) = [
        metric for metric in catalogue.PROCESS if metric.name == "process_start_time_seconds"
    ]
    restarts = _HALF_HOUR.changes(started, *_NODE)
    # Other programs tell their start too.
    ours = _TWO.gauge(catalogue.BUILD_INFORMATION, *_NODE)
    return [
        *both(
            "EventLoopBlocked",
            lag,
            thresholds.EVENT_LOOP_LAG_SECONDS,
            hold="5m",
            summary="{{ $labels.instance }} is late by {{ $value | humanizeDuration }}"
            " in all it does.",
            board=OVERVIEW,
        ),
        Alert(
            "CrashLoop",
            f"{restarts} > {thresholds.RESTARTS:g} and {ours} > 0",
            "0m",
            "critical",
            "{{ $labels.instance }} has restarted {{ $value }} times in half an hour.",
            OVERVIEW,
        ),
    ]


def _store() -> list[Alert]:
    renewals = _TWO.rate(catalogue.MEMBERSHIP_LEASE_RENEWAL_LATENCY, *_NODE)
    lost = _FIVE.increase(catalogue.GROUP_COMMIT_LOST, *_NODE)
    latency = _FIVE.quantile("0.99", catalogue.GROUP_COMMIT_LATENCY, *_NODE)
    return [
        Alert(
            "DatabaseUnreachable",
            f"{renewals} == 0",
            "1m",
            "critical",
            "{{ $labels.instance }} has not reached the database for a minute or longer.",
            OVERVIEW,
        ),
        Alert(
            "CommitsLost",
            f"{lost} > 0",
            "0m",
            "critical",
            "The database did not confirm commits of {{ $labels.instance }}.",
            HISTORY,
        ),
        *both(
            "CommitLatencyHigh",
            latency,
            thresholds.COMMIT_LATENCY_SECONDS,
            hold="5m",
            summary="One commit in a hundred of {{ $labels.instance }} takes"
            " {{ $value | humanizeDuration }} or longer.",
            board=HISTORY,
        ),
    ]


def _frontend() -> list[Alert]:
    frontend = _FIVE.only(service_name="frontend")
    faults = frontend.only(error_type=SYSTEM_FAULTS)
    ratio = (
        f"{faults.rate(catalogue.SERVICE_ERROR_WITH_TYPE, 'cluster')}"
        f" / {frontend.rate(catalogue.SERVICE_REQUESTS, 'cluster')}"
    )
    by_limit = ("cluster", "namespace", "resource_exhausted_scope")
    throttled = (
        f"{frontend.rate(catalogue.SERVICE_ERRORS_RESOURCE_EXHAUSTED, *by_limit)}"
        " / on(cluster, namespace) group_left() "
        f"{frontend.rate(catalogue.SERVICE_REQUESTS, 'cluster', 'namespace')}"
    )
    return [
        *both(
            "FrontendErrors",
            ratio,
            thresholds.FRONTEND_ERROR_RATIO,
            hold="5m",
            summary="{{ $value | humanizePercentage }} of requests fail through no fault of their"
            " sender.",
            board=FRONTEND,
        ),
        *both(
            "NamespaceThrottled",
            throttled,
            thresholds.THROTTLED_RATIO,
            hold="5m",
            summary="A limit of the {{ $labels.resource_exhausted_scope | toLower }} refuses"
            " {{ $value | humanizePercentage }} of the requests for {{ $labels.namespace }}.",
            board=FRONTEND,
        ),
    ]


def _queues() -> list[Alert]:
    # A sticky queue's tasks go to the normal one when nobody polls for them.
    normal = _FIVE.only(partition=Unlike("__sticky__"))
    age = normal.gauge(catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS, *_QUEUE, how="max")
    # A queue that nobody polls leaves memory, and its series with it. Its tasks are still there.
    last_age = _HOUR.only(partition=Unlike("__sticky__")).last(
        catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS, *_QUEUE, how="max"
    )
    waiting = _FIVE.gauge(catalogue.PENDING_POLLS, *_QUEUE)
    served = normal.rate(catalogue.POLL_SUCCESS, *_QUEUE)
    limit = thresholds.BACKLOG_AGE_SECONDS
    queue = "{{ $labels.task_type }} task queue {{ $labels.taskqueue }} of {{ $labels.namespace }}"
    return [
        Alert(
            "BacklogWithoutPollers",
            f"{last_age} > {limit.warning:g} unless ({waiting} > 0 or {served} > 0)",
            "2m",
            "critical",
            f"Nobody polls the {queue}, and tasks wait there.",
            MATCHING,
        ),
        *both(
            "BacklogOld",
            age,
            limit,
            hold="5m",
            summary=f"Tasks of the {queue} wait for {{{{ $value | humanizeDuration }}}}.",
            board=MATCHING,
        ),
    ]


def _schedules() -> list[Alert]:
    by = ("cluster", "namespace")
    lost = (catalogue.SCHEDULE_MISSED_CATCHUP_WINDOW, catalogue.SCHEDULE_BUFFER_OVERRUNS)
    counts = [ask(metric, *by) for metric in lost for ask in (_HALF_HOUR.new, _HALF_HOUR.increase)]
    return [
        Alert(
            "SchedulesMissed",
            " or ".join(f"{count} > 0" for count in counts),
            "0m",
            "warning",
            'Schedules of {{ $labels.namespace }} have lost {{ $value | printf "%.0f" }} actions.',
            WORKER,
        )
    ]


def _certificates() -> list[Alert]:
    expiry = tls_catalogue.TLS_CERTIFICATE_EXPIRY
    by = ("cluster", "scope", "subject", "serial")
    left = f"{_TWO.gauge(expiry, *by, how='min')} - time()"
    # One that lives for a day is replaced before it has been there for one.
    lasting = _DAY.earlier(expiry, *by, how="min")
    limit = thresholds.CERTIFICATE_SECONDS
    soon = f"{left} < {thresholds.SHORT_CERTIFICATE_SECONDS:g}"
    expressions = {
        "warning": f"{left} < {limit.warning:g} and {lasting}",
        "critical": f"{left} < {limit.critical:g} and {lasting} or {soon}",
    }
    failures = _FIVE.only(result="failed").increase(tls_catalogue.TLS_RELOAD_TOTAL, *_NODE)
    trust = _TWO.only(role="trust")
    who = f"count by ({', '.join(by)}) ({trust.gauge(expiry, 'instance', *by, how='min')})"
    ports = trust.gauge(expiry, "instance", "cluster", "scope", how="min")
    return [
        *(
            Alert(
                "CertificateExpiring",
                expression,
                "5m",
                severity,
                "{{ $labels.subject }} of {{ $labels.scope }} expires in"
                " {{ $value | humanizeDuration }}.",
                OVERVIEW,
            )
            for severity, expression in expressions.items()
        ),
        Alert(
            "CertificateReloadFailing",
            f"{failures} > 0",
            "5m",
            "warning",
            "{{ $labels.instance }} goes on with old certificates: it cannot use the new files.",
            OVERVIEW,
        ),
        Alert(
            "TrustDiffers",
            f"{who} < on(cluster, scope) group_left() count by (cluster, scope) ({ports})",
            "1h",
            "warning",
            "Only some processes trust {{ $labels.subject }} for {{ $labels.scope }}.",
            OVERVIEW,
        ),
    ]


def _authorization() -> list[Alert]:
    undecided = _FIVE.rate(server_catalogue.SERVICE_ERRORS_AUTHORIZE_FAILED, *_NODE)
    failed, read = (
        _HALF_HOUR.only(outcome=outcome).increase(server_catalogue.AUTHORIZATION_KEY_READS, *_NODE)
        for outcome in ("failed", "read")
    )
    name = "AuthorizationSystemFailure"
    return [
        Alert(
            name,
            f"{undecided} > 0",
            "2m",
            "critical",
            "{{ $labels.instance }} lets in nobody with a token: it has never read a key.",
            FRONTEND,
        ),
        Alert(
            name,
            f"{failed} > 0 unless {read} > 0",
            "15m",
            "warning",
            "{{ $labels.instance }} cannot read the keys of tokens, and goes on with those it has.",
            FRONTEND,
        ),
    ]
