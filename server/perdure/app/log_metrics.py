"""What logging tells metrics."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Family, Metrics
from perdure.telemetry.series import CounterSeries


class LogMetrics:
    """Counts errors and warnings by the component that logs them, few of which there are."""

    def __init__(self, metrics: Metrics) -> None:
        self._errors = _ByComponent(metrics.counter(catalogue.LOG_ERRORS))
        self._warnings = _ByComponent(metrics.counter(catalogue.LOG_WARNINGS))

    def error_logged(self, component: str, *, written: bool) -> None:
        """Counts an error; `written` says whether it is in the log, or was left out."""
        self._errors.count(component, written=written)

    def warning_logged(self, component: str, *, written: bool) -> None:
        """Counts a warning; `written` says whether it is in the log, or was left out."""
        self._warnings.count(component, written=written)


class _ByComponent:
    def __init__(self, counter: Family[CounterSeries]) -> None:
        self._counter = counter
        self._series: dict[tuple[str, bool], CounterSeries] = {}

    def count(self, component: str, *, written: bool) -> None:
        series = self._series.get((component, written))
        if series is None:
            outcome = "written" if written else "left_out"
            series = self._counter.bind(component=component, outcome=outcome)
            self._series[component, written] = series
        series.inc()
