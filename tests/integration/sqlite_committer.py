"""A process that commits workflows to a SQLite file and says so: killed and traced by tests.

Usage: sqlite_committer.py FILE FIRST COUNT [BYTES]. It prints one `ack N` line after each commit;
batch N holds `size_of(N)` workflows, each with BYTES of history.
"""

import asyncio
import os
import sys

from contract.rows import batch, start, whole_shard
from perdure.core.commit import Commit
from perdure.persistence.opening import open_store
from perdure.persistence.ports import Shard
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds


def size_of(number: int) -> int:
    """Returns how many workflows a batch holds."""
    return number % 4 + 1


def workflow_id(number: int, position: int) -> str:
    """Returns the id of one workflow of a batch."""
    return f"workflow-{number}-{position}"


def transitions(shard: Shard, number: int, history_bytes: int) -> list[Commit]:
    """Returns the starts of a batch's workflows."""
    commits = []
    for position in range(size_of(number)):
        name = workflow_id(number, position)
        commit = start(shard, f"run of {name}", name)
        commit.runs[0].history = [batch(1, 2, "h" * history_bytes)]
        commits.append(commit)
    return commits


async def main(path: str, first: int, count: int, history_bytes: int) -> None:
    """Commits batches `first` to `first + count - 1`, one transaction each."""
    store = await open_store("sqlite", ids=SystemIds(clock=SystemClock()), path=path)
    shard = await whole_shard(store)
    for number in range(first, first + count):
        outcomes = await store.commit(transitions(shard, number, history_bytes))
        assert {outcome.result.value for outcome in outcomes} == {"committed"}, outcomes
        os.write(1, f"ack {number}\n".encode())
    await store.close()


if __name__ == "__main__":
    file, *numbers = sys.argv[1:]
    asyncio.run(main(file, *map(int, [*numbers, "100"][:3])))
