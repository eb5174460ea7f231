"""The parts that stores share: statements, search attributes, folding, measuring, faults."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.rows import (
    NAMESPACE,
    commit_all,
    deletion,
    results,
    start,
    step,
    task,
    timer,
    transition,
    whole_shard,
)
from perdure.core.commit import Commit, SearchValue
from perdure.core.visibility.values import words
from perdure.persistence.admission import refusal
from perdure.persistence.coalescing import fold
from perdure.persistence.memory import MemoryStore
from perdure.persistence.opening import open_store
from perdure.persistence.ports import (
    Outcome,
    Result,
    Shard,
    StartupError,
    StoreUnavailable,
    UnknownOutcome,
)
from perdure.persistence.search_values import decode_values, encode_values, member_name
from perdure.persistence.sql_files import load_migrations, load_statements
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

SHARD = Shard(0, 16_383, "node", 1)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FIRST, LAST = datetime(1700, 1, 1), datetime(2262, 1, 1)  # noqa: DTZ001
moments = st.datetimes(
    timezones=st.just(UTC),
    min_value=datetime(1700, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2262, 1, 1),  # noqa: DTZ001
)
values: st.SearchStrategy[SearchValue] = st.one_of(
    text,
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    moments,
    st.lists(text, min_size=1),
    st.frozensets(text),
)


def ids() -> SystemIds:
    return SystemIds(clock=SystemClock())


@given(st.dictionaries(text, values))
def test_search_attributes_come_back(attributes: dict[str, SearchValue]) -> None:
    decoded = decode_values(encode_values(attributes))
    assert decoded == attributes
    assert [type(value) for value in decoded.values()] == [
        type(value) for value in attributes.values()
    ]


def test_an_empty_list_is_no_attribute() -> None:
    assert encode_values({"A": []}) is None
    assert decode_values(None) == {}


@given(text, text)
def test_members_need_no_quoting_and_never_clash(first: str, second: str) -> None:
    assert not set(member_name(first, "s")) & set('"\\')
    assert member_name(first, "s").isascii()
    assert (member_name(first, "s") == member_name(second, "s")) == (first == second)


def test_words_are_split_at_ascii_punctuation() -> None:
    assert words("Hello big-World, foo_bar 'x9'") == {"hello", "big", "world", "foo", "bar", "x9"}
    assert words(" -- ") == set()
    assert words("Été Привет") == {"Été", "Привет"}


@pytest.mark.parametrize(
    "content",
    [
        "-- name: a\n-- Text.\nSELECT 1\n-- name: a\n-- Text.\nSELECT 2\n",
        "-- name: a\nSELECT 1\n",
        "-- name: a\n-- Text.\n",
    ],
    ids=["double", "not described", "empty"],
)
def test_statements_without_a_name_of_their_own_are_errors(tmp_path: Path, content: str) -> None:
    file = tmp_path / "statements.sql"
    file.write_text(content)
    with pytest.raises(ValueError, match="double, empty or not described"):
        load_statements(file)


def test_migrations_are_numbered_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("1")
    assert load_migrations(tmp_path) == {1: "1"}
    (tmp_path / "0003_third.sql").write_text("3")
    with pytest.raises(ValueError, match="without gaps"):
        load_migrations(tmp_path)


def test_what_is_added_and_deleted_in_a_batch_is_never_written() -> None:
    plans, outcomes = fold(
        [
            transition(SHARD, tasks=[task(1), task(2)], timers=[timer(1)]),
            transition(SHARD, tasks_deleted=[task(1).key], timers_deleted=[timer(1)]),
        ]
    )
    (plan,) = plans
    assert results(outcomes) == [Result.COMMITTED] * 2
    assert list(plan.tasks) == [task(2).key]
    assert not plan.tasks_deleted
    assert not plan.timers
    assert not plan.timers_deleted


def test_a_new_run_that_is_written_again_is_one_insert() -> None:
    (plan,), _ = fold([start(SHARD, "run-1"), transition(SHARD, step("run-1", 1, b"last"))])
    (row,) = plan.runs.values()
    assert (row.expected_version, row.version, row.state) == (0, 2, b"last")


def test_a_deletion_of_what_the_plan_touches_starts_another() -> None:
    plans, _ = fold(
        [start(SHARD, "run-1"), transition(SHARD, deletion("run-1", 1)), start(SHARD, "run-2")]
    )
    assert [(list(plan.runs), list(plan.runs_deleted)) for plan in plans] == [
        (["run-1"], []),
        ([], ["run-1"]),
        (["run-2"], []),
    ]


def test_what_can_be_stored_has_no_refusal() -> None:
    assert refusal(start(SHARD, "run-1")) == ""
    assert refusal(transition(SHARD, slot=-1)) == "slot -1 does not exist"


class Watcher:
    """A `StoreObserver` that remembers."""

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.operations: list[tuple[str, str]] = []

    def commit_done(self, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.commits.append(size)

    def operation_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        assert seconds >= 0
        self.operations.append((operation, type(error).__name__ if error is not None else ""))


class Faults:
    """`CommitFaults` that raise what they are told."""

    def __init__(self) -> None:
        self.before: Exception | None = None
        self.after: Exception | None = None

    async def before_commit(self, batch: Sequence[Commit]) -> None:
        if self.before is not None:
            raise self.before

    async def after_commit(self, batch: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
        if self.after is not None:
            raise self.after


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_observer_hears_of_every_call(tmp_path: Path, kind: str) -> None:
    watcher = Watcher()
    assert kind in {"memory", "sqlite"}
    store = await open_store(
        "memory" if kind == "memory" else "sqlite",
        ids=ids(),
        path=str(tmp_path / "perdure.db"),
        observer=watcher,
    )
    shard = await whole_shard(store)
    await commit_all(store, start(shard, "run-1"), start(shard, "run-2", "other"))
    await store.load_current(NAMESPACE, "workflow")
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit([start(shard, "run-3", "third")])
    assert watcher.commits == [2]
    assert watcher.operations == [
        ("acquire_shard", ""),
        ("commit", ""),
        ("load_current", ""),
        ("commit", "StoreUnavailable"),
    ]


async def test_faults_decide_what_the_memory_store_keeps() -> None:
    faults = Faults()
    store = MemoryStore(ids=ids(), faults=faults)
    shard = await whole_shard(store)
    faults.before = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        await store.commit([start(shard, "run-1")])
    assert await store.load_current(NAMESPACE, "workflow") is None
    faults.before, faults.after = None, UnknownOutcome("silent")
    with pytest.raises(UnknownOutcome):
        await store.commit([start(shard, "run-1")])
    assert await store.load_current(NAMESPACE, "workflow") is not None
    assert store.statistics().failed_commits == 2
    faults.after = None
    await commit_all(store, transition(shard, step("run-1", 1)))
    assert store.statistics().commits == 1


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("postgresql://user:secret@127.0.0.1:1/database", "cannot be reached"),
        ("this is no connection string", "cannot be read"),
    ],
)
async def test_a_database_that_cannot_be_opened_says_why(dsn: str, reason: str) -> None:
    with pytest.raises(StartupError, match=reason) as caught:
        await open_store("postgres", ids=ids(), dsn=dsn)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
