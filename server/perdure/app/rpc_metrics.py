"""What gRPC tells metrics: requests, latencies and errors, by RPC.

The public server and the server for other nodes count what comes in, also what is under way; links
to other nodes count what goes out.

Series are bound when an RPC first names a namespace; after that a call costs a dictionary look-up
and a few additions. Namespaces are what clients write, so no more than a bounded number is kept.
"""

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from temporalio.api.enums.v1 import failed_cause_pb2 as enums

from perdure.core.errors import Code, ResourceExhaustedError, ServiceError
from perdure.frontend.quotas.quotas import Quotas
from perdure.rpc.clients import StaleTask
from perdure.runtime.ports import Clock
from perdure.telemetry import catalogue
from perdure.telemetry import server_catalogue as further
from perdure.telemetry.collectors import OVERFLOW, Metrics
from perdure.telemetry.metric import Metric
from perdure.telemetry.process import process_name
from perdure.telemetry.series import CounterSeries, HistogramSeries

_CAUSES = enums.DESCRIPTOR.enum_types_by_name["ResourceExhaustedCause"].values_by_number
_SCOPES = enums.DESCRIPTOR.enum_types_by_name["ResourceExhaustedScope"].values_by_number
UNKNOWN_NAMESPACE = "_unknown_"
_POLLING = {"GetWorkflowExecutionHistory": "PollWorkflowExecutionHistory"}
"""What the real server calls calls that wait for something new."""
NAMESPACES_PER_RPC = 500
"""Beyond these, namespaces of an RPC are counted together."""


class RpcMetrics:
    """An `RpcObserver` of the public server."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def operation(self, service: str, name: str) -> "OperationMetrics":
        """Returns the observer of one RPC."""
        polling = _POLLING.get(name)
        prefix = "Operator" if service.endswith(".OperatorService") else ""
        return OperationMetrics(
            self._metrics.scoped(operation=prefix + name),
            self._clock,
            polling=OperationMetrics(self._metrics.scoped(operation=polling), self._clock)
            if polling
            else None,
        )


class InternodeMetrics:
    """An `RpcObserver` of the server for other nodes: each role counts its own RPCs."""

    def __init__(self, metrics: Metrics, clock: Clock, roles: Sequence[str]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._roles = roles

    def operation(self, service: str, name: str) -> "OperationMetrics":
        """Returns the observer of one RPC."""
        role = _role_of(service) or process_name(self._roles)
        return OperationMetrics(
            self._metrics.scoped(service_name=role, operation=name), self._clock
        )


class ClientMetrics:
    """An `RpcObserver` of calls to other nodes."""

    def __init__(self, metrics: Metrics, clock: Clock, roles: Sequence[str]) -> None:
        self._metrics = metrics.scoped(service_name=process_name(roles))
        self._clock = clock
        self._together = self._metrics.histogram(further.CLIENT_CALLS_PER_MESSAGE).bind()

    def sent(self, calls: int) -> None:
        """Notes how many calls a message of a stream had."""
        self._together.observe(calls)

    def operation(self, service: str, name: str) -> "CallMetrics":
        """Returns the observer of one RPC."""
        role = _role_of(service)
        metrics = self._metrics.scoped(
            service_role=role, operation=f"{role.capitalize()}Client{name}"
        )
        return CallMetrics(metrics, self._clock, _CLIENT)


class _Kinds(NamedTuple):
    requests: Metric
    latency: Metric
    errors: Metric


_ERRORS: Mapping[str, Metric] = {
    "serviceerror_DeadlineExceeded": further.SERVICE_ERRORS_CONTEXT_TIMEOUT,
    "serviceerror_InvalidArgument": further.SERVICE_ERRORS_INVALID_ARGUMENT,
    "serviceerror_NamespaceNotFound": further.SERVICE_ERRORS_ENTITY_NOT_FOUND,
    "serviceerror_NotFound": further.SERVICE_ERRORS_ENTITY_NOT_FOUND,
    "serviceerror_NotOwner": further.SERVICE_ERRORS_SHARD_OWNERSHIP_LOST,
    "serviceerror_WorkflowExecutionAlreadyStarted": (
        further.SERVICE_ERRORS_EXECUTION_ALREADY_STARTED
    ),
}
"""What counts errors of a type that callers bring about, or that pass by themselves."""
_UNEXPECTED = frozenset(
    {
        *(Code.ABORTED, Code.DATA_LOSS, Code.DEADLINE_EXCEEDED, Code.INTERNAL),
        *(Code.UNAVAILABLE, Code.UNIMPLEMENTED, Code.UNKNOWN),
    }
)
"""Codes of errors that the real server takes for its own. A caller that has gone is none."""

_SERVER = _Kinds(
    catalogue.SERVICE_REQUESTS, catalogue.SERVICE_LATENCY, catalogue.SERVICE_ERROR_WITH_TYPE
)
_CLIENT = _Kinds(catalogue.CLIENT_REQUESTS, catalogue.CLIENT_LATENCY, catalogue.CLIENT_ERRORS)


class _Series(NamedTuple):
    requests: CounterSeries
    latency: HistogramSeries


class CallMetrics:
    """An `OperationObserver` that counts calls, by namespace."""

    __slots__ = ("_by_namespace", "_clock", "_kinds", "_metrics")

    def __init__(self, metrics: Metrics, clock: Clock, kinds: _Kinds) -> None:
        self._metrics = metrics
        self._clock = clock
        self._kinds = kinds
        self._by_namespace: dict[str, _Series] = {}

    def begin(self) -> float:
        """Returns when a call began."""
        return self._clock.monotonic()

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        """Notes how a call ended."""
        series = self._by_namespace.get(namespace) or self._bind(namespace)
        series.requests.value += 1
        series.latency.observe(self._clock.monotonic() - begun)
        if error is not None:
            self._metrics.counter(self._kinds.errors).bind(
                namespace=namespace or UNKNOWN_NAMESPACE, error_type=error_type(error)
            ).inc()
            self._failed(namespace, error)

    def _failed(self, namespace: str, error: BaseException) -> None:
        """Notes what else is counted of an error."""

    def _bind(self, namespace: str) -> _Series:
        name = namespace or UNKNOWN_NAMESPACE
        if len(self._by_namespace) >= NAMESPACES_PER_RPC:
            name = OVERFLOW
        series = _Series(
            self._metrics.counter(self._kinds.requests).bind(namespace=name),
            self._metrics.histogram(self._kinds.latency).bind(namespace=name),
        )
        if name is not OVERFLOW:
            self._by_namespace[namespace] = series
        return series


class OperationMetrics(CallMetrics):
    """An `OperationObserver` that also tells how many calls are being answered."""

    __slots__ = ("_panics", "_pending", "_polling")

    def __init__(
        self, metrics: Metrics, clock: Clock, *, polling: "OperationMetrics | None" = None
    ) -> None:
        """Counts one RPC.

        Args:
            metrics: With the RPC's name.
            clock: Times calls.
            polling: What counts its calls that wait for something new.
        """
        super().__init__(metrics, clock, _SERVER)
        self._polling = polling or self
        pending = metrics.gauge(catalogue.SERVICE_PENDING_REQUESTS)
        # The namespace is not known before the request is parsed.
        self._pending = pending.bind(namespace=UNKNOWN_NAMESPACE)
        self._panics = metrics.counter(further.SERVICE_PANICS).bind()

    def begin(self) -> float:
        """Notes that a call has come in; returns when."""
        self._pending.value += 1
        return self._clock.monotonic()

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        """Notes how a call ended."""
        self._pending.value -= 1
        CallMetrics.end(self._polling if waits else self, begun, namespace, error)

    def _bind(self, namespace: str) -> _Series:
        series = super()._bind(namespace)
        alias = self._metrics.histogram(further.SERVICE_LATENCY_NOUSERLATENCY)
        name = namespace if namespace in self._by_namespace else OVERFLOW
        alias.share(series.latency, namespace=name or UNKNOWN_NAMESPACE)
        return series

    def _failed(self, namespace: str, error: BaseException) -> None:
        if isinstance(error, ResourceExhaustedError):
            self._exhausted(namespace, error)
            return
        unforeseen = not isinstance(error, ServiceError | StaleTask | CancelledError)
        if unforeseen:
            self._panics.value += 1
        metric = _ERRORS.get(error_type(error))
        if unforeseen or (isinstance(error, ServiceError) and error.code in _UNEXPECTED):
            metric = metric or further.SERVICE_ERRORS
        if metric is not None:
            self._metrics.counter(metric).bind(namespace=namespace or UNKNOWN_NAMESPACE).inc()

    def _exhausted(self, namespace: str, error: ResourceExhaustedError) -> None:
        self._metrics.counter(catalogue.SERVICE_ERRORS_RESOURCE_EXHAUSTED).bind(
            namespace=namespace or UNKNOWN_NAMESPACE,
            resource_exhausted_cause=_camel(_CAUSES[error.cause].name),
            resource_exhausted_scope=_camel(_SCOPES[error.scope].name),
        ).inc()


class QuotaMetrics:
    """What limits are set, seen whenever metrics are read."""

    def __init__(self, metrics: Metrics) -> None:
        self._process = metrics.gauge(catalogue.HOST_RPS_LIMIT).bind()
        self._namespaces = metrics.gauge(catalogue.NAMESPACE_HOST_RPS_LIMIT)

    def sample(self, quotas: Quotas) -> None:
        """Notes the limits that hold now."""
        self._process.value = quotas.rps
        for namespace, rps in quotas.namespace_rps().items():
            self._namespaces.bind(namespace=namespace).value = rps


def _camel(name: str) -> str:
    """Returns the label of an enum's name: RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT is RpsLimit."""
    return "".join(word.capitalize() for word in name.split("_")[3:])


def _role_of(service: str) -> str:
    """Returns the role that serves a service of ours (`…HistoryService`); "" for none."""
    return service.rpartition(".")[2].removesuffix("Service").lower()


def error_type(error: BaseException) -> str:
    """Returns what the real server calls an error in its metrics."""
    if isinstance(error, CancelledError):
        return "serviceerror_Canceled"
    if isinstance(error, ServiceError | StaleTask):
        return f"serviceerror_{type(error).__name__.removesuffix('Error')}"
    return "serviceerror_Internal"
