"""PromQL, written with the catalogue's objects: a label that a metric does not have is an error.

Everything is asked per cluster: `cluster` is a label that the operator's scrape configuration adds
where one Prometheus sees several clusters, and is empty everywhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perdure.telemetry.metric import Kind, Metric

TARGET_LABELS = frozenset({"cluster", "instance", "job"})
"""What Prometheus and the operator's scrape configuration add to every series."""
PARTS = ("bucket", "count", "sum")
"""What the series of a histogram end in."""


class Regex(str):
    """A label value that is a pattern."""

    __slots__ = ()


class Unlike(str):
    """A label value that is not wanted."""

    __slots__ = ()


class UnlikeRegex(str):
    """A pattern of label values that are not wanted."""

    __slots__ = ()


Where = Mapping[str, str]
"""Label values by name: equal ones, or one of the above."""
_OPERATORS = {Regex: "=~", Unlike: "!=", UnlikeRegex: "!~"}


@dataclass(frozen=True, slots=True)
class Source:
    """The series of a metric that are asked for.

    Attributes:
        metric: Which one.
        where: Their labels.
        part: Of a histogram, which series (`count`, `sum`, `bucket`); "" for other metrics.
    """

    metric: Metric
    where: Where
    part: str = ""

    def __post_init__(self) -> None:
        """Checks that there can be such series.

        Raises:
            ValueError: There cannot.
        """
        if (self.part in PARTS) != (self.metric.kind is Kind.HISTOGRAM):
            raise ValueError(f"{self.metric.name} has no part {self.part!r}")
        self.check(self.where)

    def check(self, labels: Mapping[str, str] | Sequence[str]) -> None:
        """Checks that the series have labels.

        Raises:
            ValueError: They have not.
        """
        known = TARGET_LABELS | set(self.metric.labels)
        if unknown := set(labels) - known - {"le"}:
            raise ValueError(f"{self.metric.name} has no label {', '.join(sorted(unknown))}")

    def __str__(self) -> str:
        name = f"{self.metric.name}_{self.part}" if self.part else self.metric.name
        matchers = ",".join(map(_matcher, self.where.items()))
        return f"{name}{{{matchers}}}" if matchers else name


def _matcher(wanted: tuple[str, str]) -> str:
    label, value = wanted
    return f'{label}{_OPERATORS.get(type(value), "=")}"{value}"'


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for series that all have some labels, over one window.

    Attributes:
        window: Over which rates are taken, such as `5m`.
        where: Labels that every series asked for has.
    """

    window: str
    where: Where

    def only(self, **where: str) -> "Asker":
        """Returns one that asks for series that have these labels as well."""
        return Asker(self.window, {**self.where, **where})

    def gauge(self, metric: Metric, *by: str, how: str = "sum") -> str:
        """Returns a gauge's value, summed up (or `max`, `min`) by some labels."""
        source = Source(metric, self.where)
        return f"{_over(source, how, by)} ({source})"

    def earlier(self, metric: Metric, *by: str, how: str = "sum") -> str:
        """Returns what `gauge` returned a window ago."""
        source = Source(metric, self.where)
        return f"{_over(source, how, by)} ({source} offset {self.window})"

    def last(self, metric: Metric, *by: str, how: str = "sum") -> str:
        """Returns a gauge's last value in the window, also of series that are gone since."""
        source = Source(metric, self.where)
        return f"{_over(source, how, by)} (last_over_time({source}[{self.window}]))"

    def rate(self, metric: Metric, *by: str, part: str = "") -> str:
        """Returns how fast a counter rises, per second, by some labels."""
        source = Source(metric, self.where, part or _default_part(metric))
        return f"{_over(source, 'sum', by)} (rate({source}[{self.window}]))"

    def increase(self, metric: Metric, *by: str) -> str:
        """Returns by how much a counter has risen in the window, by some labels."""
        source = Source(metric, self.where, _default_part(metric))
        return f"{_over(source, 'sum', by)} (increase({source}[{self.window}]))"

    def new(self, metric: Metric, *by: str) -> str:
        """Returns what counters say that were not there before the window, by some labels.

        Of a counter that is first told when something happens, an increase leaves that out.
        """
        source = Source(metric, self.where, _default_part(metric))
        before = f"{source} offset {self.window}"
        return f"{_over(source, 'sum', by)} ({source} unless {before})"

    def forecast(
        self, metric: Metric, *by: str, ahead_seconds: int, window: str = "1d", how: str = "sum"
    ) -> str:
        """Returns what a gauge will be after a while if it goes on as in a window, by labels."""
        source = Source(metric, self.where)
        course = f"predict_linear({source}[{window}], {ahead_seconds})"
        return f"{_over(source, how, by)} ({course})"

    def changes(self, metric: Metric, *by: str) -> str:
        """Returns how often a gauge has changed in the window, by some labels."""
        source = Source(metric, self.where)
        return f"{_over(source, 'sum', by)} (changes({source}[{self.window}]))"

    def quantile(self, quantile: str, metric: Metric, *by: str) -> str:
        """Returns a quantile of a histogram, by some labels."""
        rates = self.rate(metric, *by, "le", part="bucket")
        return f"histogram_quantile({quantile}, {rates})"

    def mean(self, metric: Metric, *by: str) -> str:
        """Returns the mean of a histogram, by some labels."""
        return f"{self.rate(metric, *by, part='sum')} / {self.rate(metric, *by, part='count')}"


def quotient(part: str, whole: str) -> str:
    """Returns the expression of a share."""
    return f"{part} / {whole}"


def _default_part(metric: Metric) -> str:
    return "count" if metric.kind is Kind.HISTOGRAM else ""


def _over(source: Source, how: str, by: Sequence[str]) -> str:
    source.check(by)
    return f"{how} by ({', '.join(by)})" if by else how
