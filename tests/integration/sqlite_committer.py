"""A process that commits workflows to a SQLite file and says so: killed and traced by tests.

Usage: sqlite_committer.py FILE FIRST COUNT. It prints one `ack N` line after each commit.
"""

import asyncio
import os
import sys

from contract.rows import start, whole_shard
from perdure.persistence.opening import open_store
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds


async def main(path: str, first: int, count: int) -> None:
    """Commits workflows `first` to `first + count - 1`, one transaction each."""
    store = await open_store("sqlite", ids=SystemIds(clock=SystemClock()), path=path)
    shard = await whole_shard(store)
    for number in range(first, first + count):
        outcomes = await store.commit([start(shard, f"run-{number}", f"workflow-{number}")])
        assert outcomes[0].result.value == "committed", outcomes
        os.write(1, f"ack {number}\n".encode())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
