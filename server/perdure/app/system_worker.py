"""Puts the system worker together."""

from perdure.persistence.ports import VisibilityStore
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import TaskSet
from perdure.systemworker.deleting import RunDeleter
from perdure.systemworker.namespace_deletion import NamespaceDeletion
from perdure.systemworker.ports import LooksAfter
from perdure.systemworker.retention import RetentionSweep
from perdure.systemworker.settings import SystemWorkerSettings
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics


class DeletionMetrics:
    """A `DeletionObserver`."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="worker")
        self._deleted = metrics.counter(catalogue.DELETE_EXECUTIONS_SUCCESS)
        self._failed = metrics.counter(catalogue.DELETE_EXECUTIONS_FAILURE)

    def deleted(self, namespace: str, runs: int) -> None:
        """Counts runs that are gone."""
        self._deleted.bind(namespace=namespace).inc(runs)

    def failed(self, namespace: str, runs: int) -> None:
        """Counts runs that are tried again."""
        self._failed.bind(namespace=namespace).inc(runs)


def start_system_worker(
    *,
    visibility: VisibilityStore,
    history: HistoryClient,
    namespaces: NamespaceRegistry,
    clock: Clock,
    ids: Ids,
    tasks: TaskSet,
    settings: SystemWorkerSettings,
    metrics: Metrics,
    looks_after: LooksAfter,
) -> None:
    """Starts retention and the deletion of namespaces; they end with their tasks."""

    def deleter(per_second: int) -> RunDeleter:
        return RunDeleter(
            visibility=visibility,
            history=history,
            observer=observer,
            batch=settings.batch,
            per_second=per_second,
        )

    observer = DeletionMetrics(metrics)
    RetentionSweep(
        namespaces=namespaces,
        deleter=deleter(settings.retention_rate),
        clock=clock,
        ids=ids,
        period_seconds=settings.retention_period,
        looks_after=looks_after,
    ).start(tasks)
    NamespaceDeletion(
        namespaces=namespaces,
        deleter=deleter(settings.namespace_rate),
        clock=clock,
        period_seconds=settings.namespace_period,
        settling_seconds=settings.namespace_settling,
        looks_after=looks_after,
    ).start(tasks)
