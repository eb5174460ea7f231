"""Partitions that move between nodes, from many seeds: no task is lost, and none waits for long.

Owners commit tasks to partitions, some to such as polls do not reach any more, and lose hints and
repeat them; partitions move, each node and the frontend hear of it at another moment, and the old
node may be out of reach before; workers come, vanish, and say that they go away. One worker polls
all the time: so no task may wait longer than lost hints and lost views take to be made good.
"""

import asyncio
import random

import pytest

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.core.errors import ServiceError
from perdure.matching.polling import EMPTY
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import Encoded
from unit.matching.cluster import Cluster, run_cluster
from unit.matching.world import ACTIVITIES, NAMESPACE, WORKFLOWS, response_to, task_of

TASKS = 100
FAULTS_END = 60.0
QUEUES = (WORKFLOWS, ACTIVITIES)
SLOWEST_VIEW = 3.0
"""Seconds until everybody has heard of a move."""

BOUND = 30.0
"""Virtual seconds that a task may wait: while nothing else makes up for a lost hint, the longest
interval at which the root looks for it (10 s, or 20 s with one partition, and jitter), a view that
lags, and pauses of those who look for an owner."""


class Storm:
    def __init__(self, cluster: Cluster, generator: random.Random) -> None:
        self.cluster = cluster
        self.generator = generator
        self.committed: dict[str, float] = {}
        self.got: dict[bytes, float] = {}
        self.tasks: list[DispatchTask] = []
        self.done = False
        cluster.rows.latency = lambda: generator.choice([0.0, 0.001, 0.1])
        cluster.rows.failing = lambda: self.faulty and generator.random() < 0.02
        cluster.history.refuse = lambda _: self.faulty and generator.random() < 0.05
        cluster.history.before = self.pause

    @property
    def faulty(self) -> bool:
        return self.cluster.loop.time() < FAULTS_END

    async def pause(self, _: DispatchTask) -> None:
        await asyncio.sleep(self.generator.choice([0.0, 0.0, 0.01, 0.05]))

    async def owner(self, number: int) -> None:
        reached = self.cluster.settings.partitions
        for step in range(TASKS // 2):
            queue = self.generator.choice(QUEUES)
            partition = self.generator.randrange(reached + 1)
            task = task_of(
                2 * step + number,
                queue=queue._replace(partition=partition),
                priority=self.generator.randint(1, 5),
            )
            self.tasks.append(task)
            self.committed[task.run.workflow_id] = self.cluster.loop.time()
            self.cluster.rows.write(task)
            for _ in range(self.generator.choice([0, 1, 1, 1, 2])):
                self.cluster.client.add_tasks([task])
                await asyncio.sleep(self.generator.choice([0.0, 0.001]))
            await asyncio.sleep(self.generator.choice([0.0, 0.1, 2.0]))

    async def mover(self) -> None:
        """Moves partitions; whoever they leave may be out of reach until all have heard of it."""
        names = list(self.cluster.nodes)
        while self.faulty:
            await asyncio.sleep(self.generator.uniform(0, 15))
            owners = [self.generator.choice(names) for _ in range(4)]
            cut = self.generator.choice([None, *(name for name in names if name not in owners)])
            if cut is not None:
                self.cluster.nodes[cut].up = False
            lags = [self.generator.uniform(0, SLOWEST_VIEW) for _ in range(len(names) + 1)]
            async with asyncio.TaskGroup() as views:
                views.create_task(self.see(None, owners, lags[-1]))
                for name, lag in zip(names, lags, strict=False):
                    views.create_task(self.see(name, owners, lag))
            if cut is not None:
                self.cluster.nodes[cut].up = True

    async def see(self, name: str | None, owners: list[str], lag: float) -> None:
        await asyncio.sleep(lag)
        if name is None:
            self.cluster.view.change(owners)
        else:
            self.cluster.nodes[name].see(owners)

    async def steady(self, queue: TaskQueueKey) -> None:
        """Polls until nothing is left."""
        while self.cluster.rows.tasks or not self.done:
            await self.note(self.cluster.poll(queue, seconds=30))

    async def passing(self) -> None:
        """Polls now and then, and vanishes."""
        while self.faulty:
            key = str(self.generator.random())
            poll = self.cluster.poll(self.generator.choice(QUEUES), key=key, seconds=5)
            match self.generator.choice(["stays", "vanishes", "leaves"]):
                case "vanishes":
                    asyncio.get_running_loop().call_later(self.generator.random(), poll.cancel)
                case "leaves":
                    await asyncio.sleep(self.generator.random())
                    await self.cluster.client.cancel_polls(NAMESPACE.id, WORKFLOWS.name, key)
            await self.note(poll)
            await asyncio.sleep(self.generator.choice([0.0, 1.0, 5.0]))

    async def note(self, poll: "asyncio.Future[Encoded]") -> None:
        try:
            response = await poll
        except (asyncio.CancelledError, ServiceError):
            return
        if response != EMPTY:
            assert response not in self.got, "handed out twice"
            self.got[response] = self.cluster.loop.time()

    async def commit_all(self) -> None:
        await asyncio.gather(*[self.owner(number) for number in range(2)])
        self.done = True


@pytest.mark.parametrize("partitions", [1, 2, 4])
@pytest.mark.parametrize("seed", range(12))
def test_every_task_is_handed_out_once_and_in_time(seed: int, partitions: int) -> None:
    settings = MatchingSettings(
        read_partitions=partitions,
        write_partitions=partitions,
        held_tasks_per_queue=6,
        page_size=3,
        transaction_window=1.0,
        longest_read_interval=10.0,
        idle_unload=20.0,
        rate_window=6.0,
        forward_wait=4.0,
    )

    async def scenario(cluster: Cluster) -> None:
        storm = Storm(cluster, random.Random(1_000 * partitions + seed))
        passing = [storm.passing() for _ in range(3)]
        steady = [storm.steady(queue) for queue in QUEUES]
        await asyncio.gather(storm.commit_all(), storm.mover(), *steady, *passing)
        assert sorted(cluster.history.started) == sorted(storm.committed)
        assert len(storm.got) == TASKS
        waits = [
            storm.got[response_to(task)] - storm.committed[task.run.workflow_id]
            for task in storm.tasks
        ]
        assert max(waits) < BOUND

    run_cluster(scenario, settings=settings, seed=seed, reorder_probability=0.2)
