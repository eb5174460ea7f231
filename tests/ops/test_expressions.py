"""The reader of PromQL itself: it finds what is wrong."""

import pytest

from ops.expressions import faults, kept, named
from perdure.telemetry import catalogue
from perdure_alerts.promql import Asker, Regex, Source, Unlike, UnlikeRegex


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(no_such_metric[5m]))", "no_such_metric is not in the catalogue"),
        ("sum by (shard) (numshards_gauge)", "numshards_gauge has no label shard"),
        ('numshards_gauge{pod="a"}', "numshards_gauge has no label pod"),
        ("sum(rate(event_loop_lag[5m]))", "event_loop_lag is not in the catalogue"),
        ("sum by (le) (rate(event_loop_lag_count[5m]))", "event_loop_lag_count has no label le"),
        ("rate(numshards_gauge[5m])", "numshards_gauge is a gauge, and used as if it were not"),
        ("sum(hints_sent)", "hints_sent is a counter, and used as if it were not"),
    ],
)
def test_what_does_not_exist_is_found(expression: str, fault: str) -> None:
    assert faults(expression) == [fault]


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        named("sum by (instance (numshards_gauge)")


def test_what_exists_has_no_faults() -> None:
    expression = (
        "histogram_quantile($percentile, sum by (instance, le)"
        ' (rate(event_loop_lag_bucket{cluster=~"$cluster"}[$__rate_interval]))) > 1'
    )
    assert faults(expression) == []
    assert kept(expression) == {"instance", "le"}


def test_an_aggregation_of_aggregations_keeps_what_the_outer_one_names() -> None:
    assert kept("max(sum by (instance) (numshards_gauge))") == set()
    assert kept("1 - sum by (instance) (numshards_gauge)") == {"instance"}


def test_expressions_are_made_of_metrics_that_have_the_labels() -> None:
    ask = Asker("5m", {"operation": Unlike("x"), "instance": Regex("a|b")})
    assert ask.only(namespace=UnlikeRegex("t.*")).rate(catalogue.SERVICE_LATENCY, "namespace") == (
        "sum by (namespace) (rate(service_latency_count"
        '{operation!="x",instance=~"a|b",namespace!~"t.*"}[5m]))'
    )
    with pytest.raises(ValueError, match="event_loop_lag has no label operation"):
        ask.rate(catalogue.EVENT_LOOP_LAG)
    with pytest.raises(ValueError, match="hints_sent has no label namespace"):
        Asker("5m", {}).rate(catalogue.HINTS_SENT, "namespace")
    with pytest.raises(ValueError, match="hints_sent has no part 'bucket'"):
        Source(catalogue.HINTS_SENT, {}, "bucket")
