"""Which workers are remembered, and which of them a query means."""

import pytest
from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.worker.v1 import WorkerHeartbeat

from perdure.core.errors import InvalidArgumentError
from perdure.core.matching.worker_query import worker_filter
from perdure.core.matching.worker_registry import WorkerRegistry, first_page

SHUTDOWN = WorkerStatus.WORKER_STATUS_SHUTDOWN


def beat(key: str, **fields: object) -> WorkerHeartbeat:
    return WorkerHeartbeat(worker_instance_key=key, **fields)  # type: ignore[arg-type]


def keys(registry: WorkerRegistry, namespace: str = "n", now: float = 0.0) -> list[str]:
    return sorted(each.worker_instance_key for each in registry.of_namespace(namespace, now))


def test_a_silent_worker_is_forgotten_and_a_later_word_keeps_it() -> None:
    registry = WorkerRegistry(seconds=10, capacity=10)
    registry.record("n", [beat("a"), beat("b")], 0.0)
    registry.record("n", [beat("a")], 8.0)
    assert keys(registry, now=9.9) == ["a", "b"]
    assert keys(registry, now=10.0) == ["a"]
    assert registry.find("n", "a", 18.0) is None
    assert (registry.added, registry.removed) == (2, 2)


def test_the_one_that_has_been_silent_longest_makes_room() -> None:
    registry = WorkerRegistry(seconds=10, capacity=2)
    registry.record("n", [beat("a"), beat("b")], 0.0)
    registry.record("n", [beat("a")], 1.0)
    registry.record("other", [beat("c")], 2.0)
    assert keys(registry, now=2.0) == ["a"]
    assert keys(registry, "other", now=2.0) == ["c"]


def test_who_has_shut_down_is_gone() -> None:
    registry = WorkerRegistry(seconds=10, capacity=10)
    registry.record("n", [beat("a")], 0.0)
    registry.record("n", [beat("a", status=SHUTDOWN), beat("b", status=SHUTDOWN)], 1.0)
    assert len(registry) == 0
    assert (registry.added, registry.removed) == (1, 1)


def test_pages_follow_the_order_of_keys() -> None:
    all_of_them = [beat(key) for key in ("d", "a", "c", "b", "e")]
    seen: list[str] = []
    after, more = None, True
    while more:
        page, more = first_page(all_of_them, after, 2)
        seen.extend(each.worker_instance_key for each in page)
        after = page[-1].worker_instance_key
    assert seen == ["a", "b", "c", "d", "e"]


def test_what_cannot_be_answered_fits_nobody_unless_it_is_not_reached() -> None:
    worker = beat("a", worker_identity="me")
    assert not worker_filter("Nope = 'x'")(worker)
    assert worker_filter("WorkerIdentity = 'me' OR Nope = 'x'")(worker)
    assert not worker_filter("Nope = 'x' OR WorkerIdentity = 'me'")(worker)
    assert not worker_filter("WorkerIdentity = 'me' AND Nope = 'x'")(worker)


@pytest.mark.parametrize("query", [" ", "WorkerIdentity =", "HostName = 'a' LIMIT 1", "where a"])
def test_what_is_no_condition_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        worker_filter(query)


def test_deep_nesting_fits_nobody_or_is_refused() -> None:
    assert not worker_filter("(" * 150 + "SdkName IS NULL" + ")" * 150)(beat("a"))
    with pytest.raises(InvalidArgumentError, match="max nesting level reached"):
        worker_filter("(" * 300 + "SdkName IS NULL" + ")" * 300)
