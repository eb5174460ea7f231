"""What the processes of a cluster tell, each of one role: metrics by their catalogue."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from contract.cluster import PostgresCluster
from integration.role_nodes import LIMIT, database_server, greeting, role_nodes
from perdure.app.node import Node
from perdure.config.static import ALL_ROLES
from perdure.telemetry import catalogue

pytestmark = pytest.mark.postgres
DECLARED = {metric.name: metric for metric in catalogue.CATALOGUE}
PROCESS = {metric.name.removesuffix("_total") for metric in catalogue.PROCESS}


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture
async def nodes(database: PostgresCluster) -> AsyncIterator[dict[str, Node]]:
    async with role_nodes(database) as started:
        yield started


def scrape(node: Node) -> dict[str, Metric]:
    """Returns the families that a node exports, by name."""
    with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
        text = str(response.read(), "utf-8")
    return {family.name: family for family in text_string_to_metric_families(text)}


async def scraped(nodes: dict[str, Node]) -> dict[str, dict[str, Metric]]:
    return {role: await asyncio.to_thread(scrape, node) for role, node in nodes.items()}


def total(families: dict[str, Metric], name: str, **labels: str) -> float:
    """Returns the sum of the samples with these labels; of a histogram how many observations."""
    # The parser calls a counter's samples by OpenMetrics' rule.
    samples = {name, f"{name}_total", f"{name}_count"}
    return sum(
        sample.value
        for sample in families[name].samples
        if sample.name in samples and labels.items() <= sample.labels.items()
    )


async def test_every_process_exports_what_the_catalogue_declares(nodes: dict[str, Node]) -> None:
    await greeting(nodes["frontend"])
    for role, families in (await scraped(nodes)).items():
        for name, family in families.items():
            if name in PROCESS:
                continue
            metric = DECLARED[name]
            assert family.type == metric.kind.value, name
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels), sample
                assert sample.labels["service_name"] in {role, "matching", "history"}, sample


async def test_calls_are_counted_on_both_ends_under_the_right_names(nodes: dict[str, Node]) -> None:
    await greeting(nodes["frontend"])
    told = await scraped(nodes)
    started = "StartWorkflowExecution"
    sent = total(
        told["frontend"],
        "client_requests",
        operation=f"HistoryClient{started}",
        service_name="frontend",
        service_role="history",
    )
    served = total(told["history"], "service_requests", operation=started, service_name="history")
    assert sent == served == 1
    assert total(told["matching"], "client_latency", service_role="history") > 0
    polled = total(told["matching"], "service_requests", service_name="matching")
    assert polled > 0
    assert total(told["history"], "hints_sent") > 0


async def test_every_process_tells_of_the_cluster(nodes: dict[str, Node]) -> None:
    def settled(families: dict[str, Metric]) -> bool:
        up = [total(families, "membership_live_nodes", role=role, state="up") for role in ALL_ROLES]
        return up == [1, 1, 1, 1] and total(families, "membership_unowned_shards") == 0

    told: dict[str, dict[str, Metric]] = {}
    async with asyncio.timeout(LIMIT.seconds):
        while not (told and all(map(settled, told.values()))):
            told = await scraped(nodes)
    shards = total(told["history"], "numshards_gauge")
    assert shards == total(told["frontend"], "membership_shards") == 32
    assert total(told["history"], "sharditem_created_count") == shards
    assert total(told["history"], "sharditem_acquisition_latency") == shards
    for families in told.values():
        assert total(families, "membership_lease_renewal_latency") > 0
        assert total(families, "membership_changed_count") > 0


async def test_history_and_matching_tell_what_they_hold(nodes: dict[str, Node]) -> None:
    await greeting(nodes["frontend"])
    told = await scraped(nodes)
    history, matching = told["history"], told["matching"]
    assert total(history, "cache_entries", cache_type="mutablestate") == 1
    assert 0 < total(history, "cache_usage") < total(history, "cache_size")
    assert 0 < total(history, "cache_miss") < total(history, "cache_requests")
    assert total(history, "group_commit_batch_size", service_name="history") > 0
    assert total(matching, "loaded_task_queue_count", namespace="default") >= 2
    assert total(matching, "poll_latency", poll_result="dispatch") > 0
    assert total(matching, "tasks_added") > 0
    matched = total(matching, "syncmatch_latency") + total(matching, "asyncmatch_latency")
    assert matched == total(matching, "task_schedule_to_start_latency")
