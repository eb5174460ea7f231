"""What logging tells metrics."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import CounterSeries


class LogMetrics:
    """Counts errors by the component that logs them, few of which there are."""

    def __init__(self, metrics: Metrics) -> None:
        self._errors = metrics.counter(catalogue.LOG_ERRORS)
        self._series: dict[tuple[str, bool], CounterSeries] = {}

    def error_logged(self, component: str, *, written: bool) -> None:
        """Counts an error; `written` says whether it is in the log, or was left out."""
        series = self._series.get((component, written))
        if series is None:
            outcome = "written" if written else "left_out"
            series = self._errors.bind(component=component, outcome=outcome)
            self._series[component, written] = series
        series.inc()
