"""What history tells metrics of updates."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import CounterSeries

_OPERATION = "WorkflowContext"


class UpdateMetrics:
    """An `UpdateObserver`; series of a namespace are bound when it is first seen."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics.scoped(service_name="history")
        metrics = self._metrics.scoped(operation=_OPERATION)
        self._requests = metrics.counter(catalogue.REQUEST_WORKFLOW_UPDATE_MESSAGE).bind()
        self._size = metrics.histogram(catalogue.WORKFLOW_UPDATE_REGISTRY_SIZE).bind()
        self._sent = metrics.counter(catalogue.WORKFLOW_UPDATE_SENT_TO_WORKER).bind()
        self._accepted = metrics.counter(catalogue.ACCEPT_WORKFLOW_UPDATE_MESSAGE).bind()
        self._rejected = metrics.counter(catalogue.REJECT_WORKFLOW_UPDATE_MESSAGE).bind()
        self._completed = metrics.counter(catalogue.RESPOND_WORKFLOW_UPDATE_MESSAGE).bind()
        self._waiting: dict[tuple[str, bool], CounterSeries] = {}

    def update_requested(self, namespace: str, *, completed: bool) -> None:
        """Counts a request by the stage that it waits for."""
        series = self._waiting.get((namespace, completed))
        if series is None:
            stage = (
                catalogue.WORKFLOW_UPDATE_WAIT_STAGE_COMPLETED
                if completed
                else catalogue.WORKFLOW_UPDATE_WAIT_STAGE_ACCEPTED
            )
            series = self._metrics.counter(stage).bind(
                namespace=namespace, operation="UpdateWorkflowExecution"
            )
            self._waiting[namespace, completed] = series
        series.inc()

    def update_admitted(self, bytes_in_flight: int) -> None:
        """Counts an update, and what the run has of them."""
        self._requests.inc()
        self._size.observe(bytes_in_flight)

    def updates_sent(self, count: int) -> None:
        """Counts updates that a worker was sent."""
        self._sent.inc(count)

    def updates_answered(self, accepted: int, rejected: int, completed: int) -> None:
        """Counts what a worker has answered."""
        self._accepted.inc(accepted)
        self._rejected.inc(rejected)
        self._completed.inc(completed)
