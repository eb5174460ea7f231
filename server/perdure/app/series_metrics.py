"""What metrics tell of themselves: how many series there are, and how many were too many."""

from perdure.telemetry import server_catalogue as catalogue
from perdure.telemetry.collectors import Metrics


class SeriesMetrics:
    """Counts the series of a server whenever they are read."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._series = metrics.gauge(catalogue.METRICS_SERIES).bind()
        self._overflowed = metrics.counter(catalogue.METRICS_SERIES_OVERFLOWED)

    def sample(self) -> None:
        """Notes what there is now."""
        families = self._metrics.families()
        for family in families:
            if family.overflowed:
                name = family.metric.name
                self._overflowed.bind(metric=name).value = family.overflowed
        self._series.set(sum(len(family) for family in families))
