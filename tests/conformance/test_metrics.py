"""Both servers are scraped under the same load: what both tell has the same labels and counts."""

import pytest

from conformance.metrics.comparison import (
    OTHER_LABELS,
    Difference,
    other_counts,
    other_labels,
)
from conformance.metrics.scrape import Scrape, parse, under_load
from conformance.targets import oracle_command, perdure_command
from perdure.telemetry.equivalents import EQUIVALENTS, EXPORTED

HERE = """\
# TYPE workflow_success counter
workflow_success{namespace="default",workflowType="A"} 2.0
workflow_success{namespace="temporal_system",workflowType="A"} 7.0
# TYPE poll_latency histogram
poll_latency_bucket{operation="x",le="+Inf"} 3
poll_latency_sum{operation="x"} 0.5
poll_latency_count{operation="x"} 3
"""


@pytest.fixture(scope="module")
def ours() -> Scrape:
    return under_load(perdure_command())


@pytest.fixture(scope="module")
def real() -> Scrape:
    return under_load(oracle_command())


@pytest.mark.slow
def test_kinds_and_labels_of_what_operators_use_are_the_real_servers(
    ours: Scrape, real: Scrape
) -> None:
    assert set(other_labels(ours, real)) == OTHER_LABELS.keys()


@pytest.mark.slow
def test_the_same_load_counts_the_same(ours: Scrape, real: Scrape) -> None:
    assert other_counts(ours, real) == []


@pytest.mark.slow
def test_nothing_is_told_that_cannot_exist(ours: Scrape) -> None:
    assert ours.keys() <= EXPORTED.keys() | {"process_virtual_memory_bytes"}
    assert not ours.keys() & {name for each in EQUIVALENTS for name in each.names}


def test_a_scrape_is_read() -> None:
    scrape = parse(HERE)
    success, latency = scrape["workflow_success"], scrape["poll_latency"]
    assert (success.kind, set(success.labels)) == ("counter", {"namespace", "workflowType"})
    assert success.total(namespace="default") == 2
    assert latency.kind == "histogram"
    assert (set(latency.labels), latency.total()) == ({"operation"}, 3)


def test_other_labels_and_counts_are_found() -> None:
    other = HERE.replace('namespace="default"', 'namespace="default",x="y"').replace("2.0", "5.0")
    other = other.replace('m",workflowType', 'm",x="y",workflowType')
    assert other_labels(parse(HERE), parse(other)) == ["workflow_success"]
    assert other_counts(parse(HERE), parse(other)) == [Difference("workflow_success", "A", 2, 5)]
    assert other_labels(parse(HERE), parse(HERE)) == []
