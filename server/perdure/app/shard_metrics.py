"""What history tells metrics of the shards that this process holds."""

from perdure.telemetry import catalogue, server_catalogue
from perdure.telemetry.collectors import Metrics


class ShardMetrics:
    """A `ShardObserver`."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="history")
        controller = metrics.scoped(operation="ShardController")
        self._held = controller.gauge(catalogue.NUMSHARDS_GAUGE).bind()
        self._created = controller.counter(catalogue.SHARDITEM_CREATED_COUNT).bind()
        self._removed = controller.counter(catalogue.SHARDITEM_REMOVED_COUNT).bind()
        self._closed = controller.counter(catalogue.SHARD_CLOSED_COUNT).bind()
        self._rounds = controller.counter(server_catalogue.ACQUIRE_SHARDS_COUNT).bind()
        self._round = controller.histogram(server_catalogue.ACQUIRE_SHARDS_LATENCY).bind()
        self._timer_lag = metrics.histogram(server_catalogue.SHARDINFO_SCHEDULED_QUEUE_LAG).bind(
            operation="ShardInfo", task_category="timer"
        )
        acquisition = metrics.histogram(catalogue.SHARDITEM_ACQUISITION_LATENCY)
        self._acquisition = acquisition.bind(operation="ShardInfo")

    def timer_fired(self, late_seconds: float) -> None:
        """Notes how late a timer is handled."""
        self._timer_lag.observe(late_seconds)

    def acquired(self, shards: int, seconds: float) -> None:
        """Times the acquisition of each shard: they were taken together."""
        self._rounds.inc()
        self._round.observe(seconds)
        for _ in range(shards):
            self._acquisition.observe(seconds)

    def gained(self, shards: int, held: int) -> None:
        """Counts shards that are held from now on."""
        self._created.inc(shards)
        self._held.set(held)

    def lost(self, shards: int, held: int) -> None:
        """Counts shards that are not held any more; their workflows leave memory with them."""
        self._removed.inc(shards)
        self._closed.inc(shards)
        self._held.set(held)
