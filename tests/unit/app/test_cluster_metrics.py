"""What a node of a cluster tells of the cluster, as metrics."""

from collections.abc import Sequence

from perdure.app.membership_metrics import MembershipMetrics
from perdure.app.memory_metrics import HintMetrics, HistoryMemoryMetrics
from perdure.app.message_metrics import MessageMetrics
from perdure.app.rpc_metrics import ClientMetrics, InternodeMetrics
from perdure.app.shard_metrics import ShardMetrics
from perdure.core.commit import DispatchTask
from perdure.history.ports import HistoryStatistics
from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeRow, NodeState, Shard
from perdure.rpc.clients import StaleTask
from perdure.rpc.internode.errors import PeerUnreachableError
from perdure.rpc.internode.hints import Hints
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry import exposition
from perdure.telemetry.collectors import Metrics
from unit.rpc.internode_world import (
    IMPATIENT,
    OWN,
    WORKFLOWS,
    View,
    connected,
    ids,
    serving_node,
    task_of,
)
from waiting import until

HISTORY_SERVICE = "perdure.internode.HistoryService"
ALL = ("frontend", "history")


def values(metrics: Metrics, *names: str) -> dict[str, float]:
    """Returns the values of series, by the line that they stand on; histograms' buckets not."""
    found = {}
    for line in exposition.text(metrics).decode().splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] in names:
            found[series] = float(value)
    return found


def node(name: str, roles: str, state: NodeState = NodeState.UP) -> NodeRow:
    return NodeRow(name, name, roles, f"{name}:7234", "0", 1, state, lease=1)


def live(metrics: Metrics) -> dict[str, float]:
    """Returns the series of live nodes that are not 0, by role and state."""
    prefix = "membership_live_nodes{"
    found = values(metrics, "membership_live_nodes")
    assert len(found) == 8
    return {series.removeprefix(prefix): value for series, value in found.items() if value}


def test_live_nodes_are_counted_by_role_and_state() -> None:
    metrics = Metrics()
    observer = MembershipMetrics(metrics, roles=ALL)
    assert live(metrics) == {}
    east, west = node("e", "frontend,history"), node("w", "history", NodeState.DRAINING)
    observer.membership_changed(ClusterView([east, west]))
    own = 'service_name="server"}'
    assert live(metrics) == {
        f'role="frontend",state="up",{own}': 1.0,
        f'role="history",state="up",{own}': 1.0,
        f'role="history",state="draining",{own}': 1.0,
    }
    observer.membership_changed(ClusterView([east]))
    assert f'role="history",state="draining",{own}' not in live(metrics)


def test_shards_that_move_are_no_change_of_membership() -> None:
    metrics = Metrics()
    observer = MembershipMetrics(metrics, roles=ALL)
    east = node("e", "history")
    lower, upper = Shard(0, 31, "e", 1), Shard(32, 63, "gone", 1)
    observer.membership_changed(ClusterView([east], [lower, upper]))
    assert values(metrics, "membership_shards", "membership_unowned_shards") == {
        'membership_shards{service_name="server"}': 2.0,
        'membership_unowned_shards{service_name="server"}': 1.0,
    }
    observer.membership_changed(ClusterView([east], [lower, upper._replace(owner="e")]))
    assert values(metrics, "membership_unowned_shards", "membership_changed_count") == {
        'membership_unowned_shards{service_name="server"}': 0.0,
        'membership_changed_count{operation="ServiceResolver",service_name="frontend"}': 1.0,
        'membership_changed_count{operation="ShardController",service_name="history"}': 1.0,
    }


def test_the_lease_is_counted() -> None:
    metrics = Metrics()
    observer = MembershipMetrics(metrics, roles=["matching"])
    observer.lease_renewed(0.25)
    observer.lease_renewed(0.5)
    observer.lease_failed(ValueError())
    observer.lease_lapsed(3)
    observer.node_lost()
    names = ("renewal_latency_sum", "renewal_latency_count", "failures", "lapses")
    told = values(metrics, "membership_node_lost", *(f"membership_lease_{name}" for name in names))
    assert told == {
        'membership_lease_renewal_latency_sum{service_name="matching"}': 0.75,
        'membership_lease_renewal_latency_count{service_name="matching"}': 2.0,
        'membership_lease_failures{service_name="matching"}': 1.0,
        'membership_lease_lapses{service_name="matching"}': 1.0,
        'membership_node_lost{service_name="matching"}': 1.0,
    }


def test_shards_are_counted_as_the_real_server_counts_them() -> None:
    metrics = Metrics()
    observer = ShardMetrics(metrics)
    observer.acquired(2, 0.25)
    observer.gained(2, held=2)
    observer.lost(1, held=1)
    controller = '{operation="ShardController",service_name="history"}'
    told = values(
        metrics,
        *("numshards_gauge", "sharditem_created_count", "sharditem_removed_count"),
        *("shard_closed_count", "sharditem_acquisition_latency_count"),
    )
    assert told == {
        f"numshards_gauge{controller}": 1.0,
        f"sharditem_created_count{controller}": 2.0,
        f"sharditem_removed_count{controller}": 1.0,
        f"shard_closed_count{controller}": 1.0,
        'sharditem_acquisition_latency_count{operation="ShardInfo",service_name="history"}': 2.0,
    }


def test_calls_of_other_nodes_count_for_the_role_that_answers() -> None:
    metrics = Metrics()
    observer = InternodeMetrics(metrics, ManualClock(), ["history", "matching"])
    for service in (HISTORY_SERVICE, "perdure.internode.MatchingService", ""):
        operation = observer.operation(service, "QueryWorkflow")
        operation.end(operation.begin(), "default", None)
    told = values(metrics, "service_requests")
    names = [series.rpartition("service_name=")[2] for series in told]
    assert names == ['"history"}', '"matching"}', '"server"}']


def test_calls_to_other_nodes_are_counted_by_their_role() -> None:
    metrics = Metrics()
    clock = ManualClock()
    observer = ClientMetrics(metrics, clock, ["frontend"])
    operation = observer.operation(HISTORY_SERVICE, "StartWorkflowExecution")
    begun = operation.begin()
    clock.advance(0.25)
    operation.end(begun, "default", PeerUnreachableError("e:1", maybe_sent=False))
    operation.end(operation.begin(), "default", StaleTask())
    labels = (
        'namespace="default",operation="HistoryClientStartWorkflowExecution",'
        'service_name="frontend",service_role="history"}'
    )
    assert values(metrics, "client_requests", "client_errors", "client_latency_sum") == {
        f"client_requests{{{labels}": 2.0,
        f"client_latency_sum{{{labels}": 0.25,
        f'client_errors{{error_type="serviceerror_PeerUnreachable",{labels}': 1.0,
        f'client_errors{{error_type="serviceerror_StaleTask",{labels}': 1.0,
    }


def test_messages_to_other_nodes_are_counted_with_their_calls() -> None:
    metrics = Metrics()
    observer = ClientMetrics(metrics, ManualClock(), ["frontend"])
    observer.sent(3)
    observer.sent(1)
    labels = '{service_name="frontend"}'
    told = values(metrics, "client_calls_per_message_sum", "client_calls_per_message_count")
    assert told == {
        f"client_calls_per_message_sum{labels}": 4.0,
        f"client_calls_per_message_count{labels}": 2.0,
    }


def test_what_history_has_in_memory_is_sampled() -> None:
    metrics = Metrics()
    memory = HistoryMemoryMetrics(metrics)
    statistics = HistoryStatistics(
        cache_entries=3,
        cache_bytes=4096,
        cache_limit_bytes=65536,
        cache_requests=10,
        cache_misses=4,
        timers=7,
        starts_undone=1,
        messages=2,
    )
    memory.sample(statistics)
    memory.sample(statistics)
    cache = 'cache_type="mutablestate",service_name="history"}'
    use = (
        'cache_type="mutablestate",namespace_id="all",operation="HistoryCacheGetOrCreate",'
        'service_name="history"}'
    )
    assert values(
        metrics,
        *("cache_entries", "cache_usage", "cache_size", "cache_requests", "cache_miss"),
        *("timers_in_memory", "messages_in_memory", "starts_undone"),
    ) == {
        f"cache_entries{{{cache}": 3.0,
        f"cache_usage{{{cache}": 4096.0,
        f"cache_size{{{cache}": 65536.0,
        f"cache_requests{{{use}": 10.0,
        f"cache_miss{{{use}": 4.0,
        'timers_in_memory{service_name="history"}': 7.0,
        'messages_in_memory{service_name="history"}': 2.0,
        'starts_undone{service_name="history"}': 1.0,
    }


async def test_hints_are_counted_until_a_node_has_them_or_they_are_given_up() -> None:
    metrics = Metrics()
    observer = HintMetrics(metrics)
    failures: list[BaseException] = []
    tasks = TaskSet(on_error=lambda _, error: failures.append(error))
    acknowledged = []

    async def take_note(hinted: Sequence[DispatchTask], _: Sequence[int]) -> None:
        acknowledged.extend(hinted)

    async with serving_node() as server, connected(IMPATIENT) as peers:
        server.matching.answers["add_tasks"] = None
        server.matching.answers["has_recent_poller"] = True
        view = View(OWN, server.node)
        hints = Hints(
            directory=view,
            peers=peers,
            deliver=None,
            acknowledged=take_note,
            tasks=tasks,
            ids=ids(),
            settings=IMPATIENT,
        )
        view.matching = {WORKFLOWS: server.node}
        hints.add([task_of(1), task_of(2)])
        await until(lambda: len(acknowledged) == 2)
        view.matching = {}
        hints.add([task_of(3)])
        await until(lambda: hints.dropped == 1)
        hints.close()
        await tasks.close()
    observer.sample(hints)
    own = '{service_name="history"}'
    assert failures == []
    assert values(metrics, "hints_sent", "hints_retried", "hints_dropped") == {
        f"hints_sent{own}": 2.0,
        f"hints_retried{own}": float(IMPATIENT.hint_attempts),
        f"hints_dropped{own}": 1.0,
    }


def test_messages_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics()
    observer = MessageMetrics(metrics)
    observer.message_retried()
    observer.message_retried()
    observer.message_sent(taken=True)
    own = '{service_name="history"}'
    told = values(metrics, "messages_delivered", "messages_refused", "messages_retried")
    assert told == {
        f"messages_delivered{own}": 1.0,
        f"messages_refused{own}": 0.0,
        f"messages_retried{own}": 2.0,
    }
