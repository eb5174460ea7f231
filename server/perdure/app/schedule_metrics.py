"""What history tells metrics of schedules."""

from collections.abc import Callable, Mapping

from perdure.core.commit import Commit, ScheduleEvent
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Metric
from perdure.telemetry.series import CounterSeries, HistogramSeries

_COUNTERS: Mapping[ScheduleEvent, Metric] = {
    ScheduleEvent.STARTED: catalogue.SCHEDULE_ACTION_SUCCESS,
    ScheduleEvent.REFUSED: catalogue.SCHEDULE_ACTION_ERRORS,
    ScheduleEvent.MISSED: catalogue.SCHEDULE_MISSED_CATCHUP_WINDOW,
    ScheduleEvent.SKIPPED: catalogue.SCHEDULE_OVERLAP_SKIPPED,
    ScheduleEvent.DROPPED: catalogue.SCHEDULE_BUFFER_OVERRUNS,
    ScheduleEvent.DELAYED: catalogue.SCHEDULE_RATE_LIMITED,
}
_SECONDS = 1e-9
"""Times are nanoseconds, latencies are seconds."""


class ScheduleMetrics:
    """Counts what schedules have done; series are bound when a namespace is first seen."""

    def __init__(self, metrics: Metrics, *, namespace_name: Callable[[str], str]) -> None:
        self._metrics = metrics
        self._namespace_name = namespace_name
        self._counters: dict[tuple[str, ScheduleEvent], CounterSeries] = {}
        self._delays: dict[str, HistogramSeries] = {}

    def committed(self, commit: Commit) -> None:
        """Counts what a durable commit says of a schedule."""
        for event, delay in commit.schedule_outcomes:
            self._counter(commit.namespace_id, event).value += 1
            if event is ScheduleEvent.STARTED:
                self._delay(commit.namespace_id).observe(delay * _SECONDS)

    def _counter(self, namespace_id: str, event: ScheduleEvent) -> CounterSeries:
        series = self._counters.get((namespace_id, event))
        if series is None:
            name = self._namespace_name(namespace_id)
            series = self._metrics.counter(_COUNTERS[event]).bind(namespace=name)
            self._counters[namespace_id, event] = series
        return series

    def _delay(self, namespace_id: str) -> HistogramSeries:
        series = self._delays.get(namespace_id)
        if series is None:
            name = self._namespace_name(namespace_id)
            series = self._metrics.histogram(catalogue.SCHEDULE_ACTION_DELAY).bind(namespace=name)
            self._delays[namespace_id] = series
        return series
