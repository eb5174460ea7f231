"""What history tells metrics: transitions, and how runs and activities end."""

from collections.abc import Mapping

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Metric
from perdure.telemetry.series import CounterSeries, HistogramSeries

_CLOSED: Mapping[int, Metric] = {
    enums.WORKFLOW_EXECUTION_STATUS_COMPLETED: catalogue.WORKFLOW_SUCCESS,
    enums.WORKFLOW_EXECUTION_STATUS_FAILED: catalogue.WORKFLOW_FAILED,
    enums.WORKFLOW_EXECUTION_STATUS_CANCELED: catalogue.WORKFLOW_CANCEL,
    enums.WORKFLOW_EXECUTION_STATUS_TERMINATED: catalogue.WORKFLOW_TERMINATE,
    enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: catalogue.WORKFLOW_CONTINUED_AS_NEW,
    enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: catalogue.WORKFLOW_TIMEOUT,
}
