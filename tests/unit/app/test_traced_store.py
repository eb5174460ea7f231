"""Spans of transactions that several RPCs share."""

import asyncio
import random

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.app.traced_store import StoreSpans
from perdure.core.commit import Commit
from perdure.history.committer import Committer, is_committed
from perdure.history.ports import SilentObserver
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import Store
from perdure.runtime.deterministic import ManualClock, SeededIds
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from perdure.telemetry.tracing import NO_TRACING

CLOCK = ManualClock()


def memory_store() -> Store:
    return MemoryStore(ids=SeededIds(generator=random.Random(1), clock=CLOCK))


def test_without_tracing_nothing_is_wrapped() -> None:
    spans = StoreSpans(NO_TRACING, CLOCK, store_kind="memory")
    store, observer = memory_store(), SilentObserver()
    assert spans.of_commits(store) is store
    assert spans.of_transitions(observer) is observer


async def test_each_rpc_of_a_batch_has_the_transaction_below_it() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OpenTelemetryTracer(provider)
    spans = StoreSpans(tracer, CLOCK, store_kind="memory")
    errors: list[BaseException] = []
    tasks = TaskSet(on_error=lambda _, error: errors.append(error))
    store = spans.of_commits(memory_store())
    shard = await store.acquire_shard(0, 9, "node")
    observer = spans.of_transitions(SilentObserver())
    committer = Committer(store=store, tasks=tasks, max_batch=9, on_lost=lambda _: None)

    async def rpc(name: str, epoch: int) -> None:
        """Commits, and tells the observer as history does: in the caller's context."""
        with tracer.span(name):
            commit = Commit(namespace_id="n", workflow_id=name, slot=1, epoch=epoch)
            future = committer.submit(commit)
            future.add_done_callback(
                lambda ended: observer.committed(commit) if is_committed(ended.result()) else None
            )
            await asyncio.shield(future)

    await asyncio.gather(rpc("a", shard.epoch), rpc("b", shard.epoch), rpc("late", shard.epoch - 1))
    await tasks.close()
    tracer.close()
    assert errors == []
    finished = exporter.get_finished_spans()
    rpcs = {span.context.span_id: span for span in finished if span.name != "store.commit"}
    commits = [span for span in finished if span.name == "store.commit"]
    below = {rpcs[span.parent.span_id].name: span for span in commits if span.parent is not None}
    assert sorted(below) == ["a", "b"], "what was fenced has no transaction"
    for name, span in below.items():
        attributes = dict(span.attributes or {})
        assert attributes["db.operation.batch.size"] == 3
        assert attributes["temporalWorkflowID"] == name
