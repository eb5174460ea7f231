"""Everything at once, from many seeds: no task is lost, none runs twice, time never stands still.

Owners commit tasks late and out of order, lose hints and repeat them, reserve pollers and release
them; the store and history fail for a while; workers vanish at any moment. Then the faults end
and workers keep polling.
"""

import asyncio
import random
from collections import Counter

import pytest

from perdure.core.commit import DispatchTask
from perdure.matching.polling import EMPTY
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import Encoded
from unit.matching.world import ACTIVITIES, WORKFLOWS, World, response_to, run, task_of

SETTINGS = MatchingSettings(
    held_tasks_per_queue=6,
    page_size=3,
    transaction_window=1.0,
    longest_read_interval=4.0,
    idle_unload=5.0,
    rate_window=6.0,
)
TASKS = 120
FAULTS_END = 30.0
QUEUES = (WORKFLOWS, ACTIVITIES)


class Storm:
    def __init__(self, world: World, generator: random.Random) -> None:
        self.world = world
        self.generator = generator
        self.tasks: list[DispatchTask] = []
        self.seen: Counter[bytes] = Counter()
        world.rows.latency = lambda: generator.choice([0.0, 0.001, 0.3])
        world.rows.failing = lambda: self.faulty and generator.random() < 0.1
        world.history.refuse = lambda _: self.faulty and generator.random() < 0.2
        world.history.before = self.pause
        world.history.after = self.pause

    @property
    def faulty(self) -> bool:
        return self.world.loop.time() < FAULTS_END

    async def pause(self, _: DispatchTask) -> None:
        if (seconds := self.generator.choice([0.0, 0.0, 0.01, 0.2])) > 0:
            await asyncio.sleep(seconds)

    async def owner(self, number: int) -> None:
        for step in range(TASKS // 4):
            queue = self.generator.choice(QUEUES)
            priority = self.generator.randint(1, 5)
            task = task_of(4 * step + number, queue=queue, priority=priority)
            self.tasks.append(task)
            if self.generator.random() < 0.3:
                await self.fused(task)
            else:
                await self.commit(task)
            await asyncio.sleep(self.generator.choice([0.0, 0.0, 0.05, 0.8]))

    async def commit(self, task: DispatchTask) -> None:
        await asyncio.sleep(self.generator.choice([0.0, 0.001, 0.5]))
        self.world.rows.write(task)
        for _ in range(self.generator.choice([0, 1, 1, 1, 2])):
            self.world.engine.add_tasks([task])
            await asyncio.sleep(self.generator.choice([0.0, 0.001]))

    async def fused(self, task: DispatchTask) -> None:
        """Schedules and starts in one commit, if a poller waits and the commit succeeds."""
        reservation = self.world.engine.reserve(task.key.queue)
        if reservation is None:
            await self.commit(task)
            return
        await asyncio.sleep(self.generator.choice([0.0, 0.001, 0.3]))
        history = self.world.history
        if self.generator.random() < 0.3:
            reservation.release()
            await self.commit(task)
            return
        request_id = reservation.poller.request_id
        history.by_request[request_id] = task
        history.started.append(task.run.workflow_id)
        if not reservation.deliver(response_to(task), task):
            await history.undo_task_started(task, request_id)

    async def worker(self) -> None:
        """Polls until nothing is left; while there are faults it is often killed."""
        while True:
            queue = self.generator.choice(QUEUES)
            poll = self.world.poll(queue, seconds=self.generator.choice([0.1, 2, 20]))
            if self.faulty and self.generator.random() < 0.4:
                asyncio.get_running_loop().call_later(self.generator.random(), poll.cancel)
            try:
                response = await poll
            except asyncio.CancelledError:
                continue
            self.note(response)
            if response == EMPTY and not self.faulty and not self.world.rows.tasks:
                return

    def note(self, response: Encoded) -> None:
        if response != EMPTY:
            self.seen[response] += 1
        for statistics in self.world.engine.statistics():
            assert statistics.pending_polls <= 8


@pytest.mark.parametrize("seed", range(30))
def test_every_task_is_started_exactly_once(seed: int) -> None:
    async def scenario(world: World) -> None:
        storm = Storm(world, random.Random(seed))
        owners = [storm.owner(number) for number in range(4)]
        await asyncio.gather(*owners, *[storm.worker() for _ in range(8)])
        expected = sorted(task.run.workflow_id for task in storm.tasks)
        assert sorted(world.history.started) == expected
        assert set(storm.seen) <= {response_to(task) for task in storm.tasks}
        assert max(storm.seen.values()) == 1
        assert len(storm.seen) == TASKS, "whoever recorded a start also got the response"
        assert world.loop.time() < FAULTS_END + 40

    run(scenario, settings=SETTINGS, seed=seed, reorder_probability=0.3)
