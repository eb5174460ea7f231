"""The bulk loader casts what the core would have made."""

import pytest

from bench.bulk_loader import FIRST_TASK_ID, Mould, NumberedIds, start_commit

NAMESPACE_ID = "7a3c1a58-53e4-4a3f-8f70-3a2c6b1a9f00"
NOW = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def mould() -> Mould:
    return Mould(namespace_id=NAMESPACE_ID, queue="queue", now=NOW)


@pytest.mark.parametrize("number", [0, 1, 77, 123_456, 999_999_999])
def test_a_cast_commit_is_that_of_a_start(mould: Mould, number: int) -> None:
    started = start_commit(NumberedIds(number), namespace_id=NAMESPACE_ID, queue="queue", now=NOW)
    # A version only has to differ from those that the run has later.
    started.runs[0].version = FIRST_TASK_ID
    # Metrics are told of sizes, the store is not.
    started.sizes.clear()
    assert mould.cast(number) == started


def test_casts_share_nothing_that_names_them(mould: Mould) -> None:
    one, other = mould.cast(1), mould.cast(2)
    assert one.workflow_id != other.workflow_id
    assert one.runs[0].run_id != other.runs[0].run_id
    assert one.tasks_added[0].key != other.tasks_added[0].key
    assert one.runs[0].state != other.runs[0].state


def test_a_removal_names_the_rows_that_were_cast(mould: Mould) -> None:
    cast, removal = mould.cast(5), mould.removal(5)
    (added,), (gone,) = cast.runs, removal.runs
    assert gone.deleted
    assert (gone.run_id, gone.expected_version) == (added.run_id, added.version)
    assert removal.tasks_deleted == [task.key for task in cast.tasks_added]
    assert removal.slot == cast.slot
