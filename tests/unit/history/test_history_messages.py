"""Messages between workflows: they arrive once, and their senders are told, whatever fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import cancel_external, complete_workflow, signal_external
from perdure.core.commit import Commit, ReceiptKey, RunKey, RunWrite
from perdure.core.errors import DeadlineExceededError, NamespaceNotFoundError, UnavailableError
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.history.ports import HistorySettings, MessageSettings
from perdure.persistence.ports import StoreUnavailable, UnknownOutcome
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import NotOwnerError
from simulation.storage import NEVER
from unit.history.world import NAMESPACE, PartOwner, Server, World, run

TAKEN = stored.Receipt.OUTCOME_TAKEN
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
TOLD = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
FAILED = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
LONG = 600.0
"""Seconds in which whatever is tried again has been tried again."""


class Post:
    """A cluster's history that may lose messages and answers.

    Attributes:
        errors: What the next deliveries raise before the message has arrived.
        lost_answers: What the next deliveries raise when it has.
        held: While it is not set, answers are under way.
        attempts: The ids of all messages that were sent.
    """

    def __init__(self, *servers: Server) -> None:
        self.errors: list[Exception] = []
        self.lost_answers: list[Exception] = []
        self.held = asyncio.Event()
        self.held.set()
        self.attempts: list[str] = []
        self._servers = servers
        for server in servers:
            server.history.attach_cluster(self)

    async def deliver_message(self, message: stored.Message) -> stored.Receipt:
        self.attempts.append(message.id)
        if self.errors:
            raise self.errors.pop(0)
        receipt = await self._owner(message).history.deliver_message(message)
        await self.held.wait()
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return receipt

    def _owner(self, message: stored.Message) -> Server:
        slot = slot_of(message.namespace_id, message.target.workflow_id)
        for server in self._servers:
            if server.history.shards.epoch(slot):
                return server
        raise NotOwnerError


class Counter:
    """Counts what an observer hears."""

    def __init__(self) -> None:
        self.taken = self.refused = self.retried = 0

    def message_sent(self, taken: bool) -> None:
        self.taken += taken
        self.refused += not taken

    def message_retried(self) -> None:
        self.retried += 1


def to(workflow_id: str, **fields: Any) -> Command:
    return signal_external(WorkflowExecution(workflow_id=workflow_id), **fields)


async def started(server: Server, *workflow_ids: str) -> None:
    """Starts workflows, and answers their first tasks with nothing."""
    for workflow_id in workflow_ids:
        await server.start(workflow_id)
        await server.complete(await server.take())


async def send(server: Server, workflow_id: str, *batch: Command) -> None:
    """Starts a workflow that sends something with its first task."""
    await server.start(workflow_id)
    task = await server.take()
    assert task.workflow_execution.workflow_id == workflow_id
    await server.complete(task, *batch)


async def quiet() -> None:
    """Lets everything happen that does not wait for long: less than the shortest pause."""
    await asyncio.sleep(0.01)


async def history(server: Server, workflow_id: str) -> list[HistoryEvent]:
    """Returns all events of the current run."""
    events: list[HistoryEvent] = []
    token = b""
    while True:
        page = await server.read(workflow_id, next_page_token=token)
        events += page.history.events
        token = page.next_page_token
        if not token:
            return events


async def count(server: Server, workflow_id: str, kind: int) -> int:
    return sum(event.event_type == kind for event in await history(server, workflow_id))


async def outbox(world: World) -> int:
    return len(await world.store.read_messages(0, SLOT_COUNT - 1, NEVER, None, 10_000))


def a_message(
    workflow_id: str, message_id: str = "message", *, cancel: bool = False
) -> stored.Message:
    message = stored.Message(
        id=message_id,
        namespace_id=NAMESPACE.id,
        target=WorkflowExecution(workflow_id=workflow_id),
        sender_namespace_id=NAMESPACE.id,
        sender=WorkflowExecution(workflow_id="sender", run_id="run"),
        initiated_event_id=5,
    )
    if cancel:
        message.cancel_request.reason = "enough"
    else:
        message.signal.name = "signal"
    return message


async def key_of(server: Server, workflow_id: str) -> RunKey:
    described = await server.describe(workflow_id)
    run_id = described.workflow_execution_info.execution.run_id
    return RunKey(NAMESPACE.id, workflow_id, run_id)


# Sending


def test_a_message_arrives_at_once_and_its_sender_is_told() -> None:
    async def scenario(world: World) -> None:
        counter = Counter()
        server = await world.serve(observer=counter)
        await started(server, "b")
        await send(server, "a", to("b"), to("nobody"))
        await quiet()
        assert await count(server, "b", SIGNALED) == 1
        assert await count(server, "a", TOLD) == 1
        assert await count(server, "a", FAILED) == 1
        assert await outbox(world) == 0
        assert (counter.taken, counter.refused, counter.retried) == (1, 1, 0)

    run(scenario)


def test_its_sender_gets_a_workflow_task() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await started(server, "b")
        await send(server, "a", to("b"))
        poll = server.poll()
        await quiet()
        assert poll.done()
        poll = server.poll()
        await quiet()
        assert poll.done()

    run(scenario)


def test_it_is_sent_again_until_the_store_of_its_target_is_back() -> None:
    async def scenario(world: World) -> None:
        counter = Counter()
        server = await world.serve(observer=counter)
        away = [True]

        async def read(name: str) -> None:
            if name == "load_receipt" and away[0]:
                raise StoreUnavailable("away")

        world.faults.before_read = read
        await started(server, "b")
        await send(server, "a", to("b"))
        await asyncio.sleep(LONG)
        assert await count(server, "b", SIGNALED) == 0
        # Pauses grow to a minute.
        assert 10 < counter.retried < 40
        away[0] = False
        await asyncio.sleep(60.0)
        assert await count(server, "b", SIGNALED) == 1
        assert await count(server, "a", TOLD) == 1
        assert await outbox(world) == 0

    run(scenario)


@pytest.mark.parametrize("error", [UnavailableError("away"), DeadlineExceededError("too late")])
def test_a_lost_answer_is_asked_for_again(error: Exception) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.lost_answers = [error] * 3
        await started(server, "b")
        await send(server, "a", to("b"))
        await asyncio.sleep(LONG)
        assert len(post.attempts) == 4
        assert await count(server, "b", SIGNALED) == 1
        assert await count(server, "a", TOLD) == 1

    run(scenario)


def test_a_fault_of_ours_is_reported_and_costs_no_message() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.errors = [ZeroDivisionError()]
        await started(server, "b")
        await send(server, "a", to("b"))
        await asyncio.sleep(LONG)
        assert await count(server, "b", SIGNALED) == 1

    run(scenario, failures=1)


@pytest.mark.parametrize("loss", [StoreUnavailable("away"), UnknownOutcome("who knows")])
@pytest.mark.parametrize("number", [1, 2])
def test_commits_that_are_lost_on_the_way_do_no_harm(number: int, loss: Exception) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        await started(server, "b")
        post.held.clear()
        await send(server, "a", to("b"))
        if number == 1:
            # The commit that takes it in.
            world.faults.losses = [loss]
        await quiet()
        if number == 2:
            # The commit that records the answer.
            world.faults.losses = [loss]
        post.held.set()
        await asyncio.sleep(LONG)
        assert await count(server, "b", SIGNALED) == 1
        assert await count(server, "a", TOLD) == 1
        assert await outbox(world) == 0

    run(scenario)


def test_a_restart_goes_on_with_the_outbox() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        post = Post(first)
        post.errors = [UnavailableError("away")] * 1000
        await started(first, "b")
        await send(first, "a", *(to("b", name=f"s{number}") for number in range(3)))
        await asyncio.sleep(LONG)
        first.history.stop()
        assert await outbox(world) == 3
        second = await world.serve()
        await quiet()
        assert await signals(second, "b") == ["s0", "s1", "s2"]
        assert await count(second, "a", TOLD) == 3
        assert await outbox(world) == 0

    run(scenario)


def test_a_crash_between_effect_and_answer_does_not_repeat_the_effect() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        post = Post(first)
        post.held.clear()
        await started(first, "b")
        await send(first, "a", to("b"))
        await quiet()
        assert await count(first, "b", SIGNALED) == 1
        first.history.stop()
        second = await world.serve()
        await quiet()
        post.held.set()
        await quiet()
        assert await count(second, "b", SIGNALED) == 1
        assert await count(second, "a", TOLD) == 1
        assert await outbox(world) == 0

    run(scenario)


def test_a_sender_that_closes_meanwhile_is_told_nothing() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.held.clear()
        await started(server, "b")
        await send(server, "a", to("b"), to("b"))
        await quiet()
        await server.terminate("a")
        assert await outbox(world) == 0
        length = len(await history(server, "a"))
        post.held.set()
        await asyncio.sleep(LONG)
        assert len(await history(server, "a")) == length
        # The one that had left arrives, the other one does not leave.
        assert await count(server, "b", SIGNALED) == 1
        assert len(post.attempts) == 1

    run(scenario)


def test_what_is_sent_while_closing_never_leaves() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        await started(server, "b")
        await send(server, "a", to("b"), complete_workflow())
        await asyncio.sleep(LONG)
        assert post.attempts == []
        assert await outbox(world) == 0

    run(scenario)


def test_the_row_of_a_sender_that_is_gone_is_deleted() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        Post(first).errors = [UnavailableError("away")] * 1000
        await started(first, "b")
        await send(first, "a", to("b"))
        key = await key_of(first, "a")
        first.history.stop()
        stored_run = await world.store.load_run(key)
        assert stored_run is not None
        [shard] = first.history.shards.held
        slot = slot_of(NAMESPACE.id, "a")
        deletion = RunWrite(key.run_id, stored_run.version, b"", deleted=True)
        commit = Commit(NAMESPACE.id, "a", slot, shard.epoch, runs=[deletion])
        await world.store.commit([commit])
        assert await outbox(world) == 1
        second = await world.serve()
        await quiet()
        assert await count(second, "b", SIGNALED) == 1
        assert await outbox(world) == 0

    run(scenario)


def test_a_namespace_that_is_gone_is_an_answer() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.errors = [NamespaceNotFoundError("gone")]
        await started(server, "b")
        await send(server, "a", to("b"))
        await quiet()
        assert await count(server, "a", FAILED) == 1
        assert len(post.attempts) == 1

    run(scenario)


# Order and bounds


async def signals(server: Server, workflow_id: str) -> list[str]:
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in await history(server, workflow_id)
        if event.event_type == SIGNALED
    ]


def test_what_one_run_sends_to_another_keeps_its_order_through_failures() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.errors = [UnavailableError("away")] * 5
        await started(server, "b", "c")
        names = [f"s{number}" for number in range(8)]
        await send(server, "a", *(to(target, name=name) for name in names for target in "bc"))
        await asyncio.sleep(LONG)
        assert await signals(server, "b") == await signals(server, "c") == names

    run(scenario)


def test_a_message_that_cannot_be_sent_holds_up_its_own_lane_only() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        await started(server, "b", "c")
        post.errors = [UnavailableError("away")]
        await send(server, "a", to("b"), to("b"), to("c"))
        await quiet()
        assert await count(server, "b", SIGNALED) == 0
        assert await count(server, "c", SIGNALED) == 1
        await asyncio.sleep(LONG)
        assert await count(server, "b", SIGNALED) == 2

    run(scenario)


@pytest.mark.parametrize(
    "bound", [{"rows_in_memory": 4}, {"bytes_in_memory": 700}], ids=["rows", "bytes"]
)
def test_memory_is_bounded_and_the_rest_is_read_later(bound: dict[str, int]) -> None:
    async def scenario(world: World) -> None:
        messages = MessageSettings(page_rows=2, concurrent=2, **bound)
        server = await world.serve(HistorySettings(messages=messages))
        post = Post(server)
        post.held.clear()
        targets = [f"b{number}" for number in range(15)]
        await started(server, *targets)
        await send(server, "a", *(to(target, name=f"s{n}") for n in range(3) for target in targets))
        await quiet()
        assert await outbox(world) == 45
        assert server.history.statistics().messages <= 6
        assert len(post.attempts) == 2
        post.held.set()
        await asyncio.sleep(LONG)
        for target in targets:
            assert await signals(server, target) == ["s0", "s1", "s2"]
        assert await outbox(world) == 0
        assert len(post.attempts) == 45

    run(scenario)


def test_a_store_that_cannot_be_scanned_is_scanned_again() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        Post(first).errors = [UnavailableError("away")] * 1000
        await started(first, "b")
        await send(first, "a", to("b"))
        first.history.stop()
        failures = [StoreUnavailable("away")] * 3

        async def read(name: str) -> None:
            if name == "read_messages" and failures:
                raise failures.pop()

        world.faults.before_read = read
        second = await world.serve()
        await asyncio.sleep(10.0)
        assert await count(second, "b", SIGNALED) == 1

    run(scenario)


def test_a_message_of_the_future_waits_for_its_time() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await started(server, "b")
        await send(server, "a")
        await server.signal("a")
        task = await server.take()
        before = world.clock.offset_nanoseconds
        world.clock.offset_nanoseconds += 30 * 10**9
        world.faults.open.clear()
        completing = asyncio.create_task(server.complete(task, to("b")))
        await quiet()
        world.clock.offset_nanoseconds = before
        world.faults.open.set()
        await completing
        await quiet()
        assert await count(server, "b", SIGNALED) == 0
        await asyncio.sleep(31.0)
        assert await count(server, "b", SIGNALED) == 1

    run(scenario)


# Shards


async def two_shards(world: World) -> tuple[int, Sequence[str]]:
    """Divides the slots; returns the second half's first slot and a workflow id in each half."""
    await world.store.create_shards(2)
    middle = SLOT_COUNT // 2
    names = [f"w{number}" for number in range(100)]
    low = next(name for name in names if slot_of(NAMESPACE.id, name) < middle)
    high = next(name for name in names if slot_of(NAMESPACE.id, name) >= middle)
    return middle, (low, high)


def test_two_shards_of_one_process_send_to_each_other() -> None:
    async def scenario(world: World) -> None:
        middle, (low, high) = await two_shards(world)
        owner = PartOwner(store=world.store, node_id="node", first_slots=(0, middle))
        server = await world.serve(owner=owner)
        await started(server, low)
        await send(server, high, to(low))
        await quiet()
        assert await count(server, low, SIGNALED) == 1
        assert await count(server, high, TOLD) == 1

    run(scenario)


def test_two_nodes_send_to_each_other_and_who_takes_over_goes_on() -> None:
    async def scenario(world: World) -> None:
        middle, (low, high) = await two_shards(world)

        async def node(name: str, *first_slots: int) -> Server:
            owner = PartOwner(store=world.store, node_id=name, first_slots=first_slots)
            return await world.serve(owner=owner)

        first, second = await node("first", 0), await node("second", middle)
        post = Post(first, second)
        await started(first, low)
        await send(second, high, to(low))
        await quiet()
        assert await count(first, low, SIGNALED) == 1
        assert await count(second, high, TOLD) == 1
        # The receiver's owner goes away, then the sender's.
        first.history.shards.adopt([])
        await second.signal(high)
        await second.complete(await second.take(), to(low))
        await quiet()
        assert second.history.statistics().messages == 1
        second.history.shards.adopt([])
        assert second.history.statistics().messages == 0
        both = await node("third", 0, middle)
        Post(both)
        await quiet()
        assert await count(both, low, SIGNALED) == 2
        assert await count(both, high, TOLD) == 2
        attempts = len(post.attempts)
        await asyncio.sleep(LONG)
        assert len(post.attempts) == attempts

    run(scenario)


def test_who_does_not_own_the_receiver_refuses() -> None:
    async def scenario(world: World) -> None:
        middle, (low, high) = await two_shards(world)
        owner = PartOwner(store=world.store, node_id="node", first_slots=(middle,))
        server = await world.serve(owner=owner)
        await started(server, high)
        assert (await server.history.deliver_message(a_message(high))).outcome == TAKEN
        with pytest.raises(NotOwnerError):
            await server.history.deliver_message(a_message(low))

    run(scenario)


# Taking in


def receiving(
    scenario: Callable[[World, Server], Awaitable[None]], settings: HistorySettings | None = None
) -> None:
    """Runs a scenario with an open workflow "b"."""

    async def whole(world: World) -> None:
        server = await world.serve(settings)
        await started(server, "b")
        await scenario(world, server)

    run(whole)


async def deliver(server: Server, message: stored.Message) -> int:
    return (await server.history.deliver_message(message)).outcome


@pytest.mark.parametrize("cache_bytes", [1, 1 << 20], ids=["always evicted", "kept"])
def test_a_message_that_comes_twice_has_one_effect(cache_bytes: int) -> None:
    async def scenario(world: World, server: Server) -> None:
        del world
        for _ in range(3):
            assert await deliver(server, a_message("b")) == TAKEN
            assert await deliver(server, a_message("b", "cancel", cancel=True)) == TAKEN
        assert await count(server, "b", SIGNALED) == 1
        assert await count(server, "b", CANCEL_REQUESTED) == 1
        assert await deliver(server, a_message("b", "another")) == TAKEN
        assert await count(server, "b", SIGNALED) == 2

    receiving(scenario, HistorySettings(cache_bytes=cache_bytes))


@pytest.mark.parametrize("target", ["b", "nobody"])
@pytest.mark.parametrize("late", [0, 1, 2, 3, 5, 10])
def test_a_message_that_comes_twice_at_once_has_one_effect(target: str, late: int) -> None:
    async def scenario(world: World, server: Server) -> None:
        world.faults.open.clear()
        first = asyncio.create_task(deliver(server, a_message(target)))
        for _ in range(late):
            await asyncio.sleep(0)
        second = asyncio.create_task(deliver(server, a_message(target)))
        await quiet()
        assert not first.done()
        assert not second.done()
        world.faults.open.set()
        assert await first == await second
        assert await count(server, "b", SIGNALED) == (target == "b")

    receiving(scenario)


def test_a_read_of_the_receipt_that_was_overtaken_is_repeated() -> None:
    """The entry leaves memory, with what it knew, while the store is being read."""

    async def scenario(world: World, server: Server) -> None:
        go_on = asyncio.Event()
        slow = [True]

        async def hold_up_the_first() -> None:
            if slow[0]:
                slow[0] = False
                await go_on.wait()

        world.store.after_reading_receipt = hold_up_the_first
        first = asyncio.create_task(deliver(server, a_message("b")))
        await quiet()
        assert await deliver(server, a_message("b")) == TAKEN
        # Another workflow takes the place in memory.
        await server.start("c")
        go_on.set()
        assert await first == TAKEN
        assert await count(server, "b", SIGNALED) == 1

    receiving(scenario, HistorySettings(cache_bytes=1))


def test_the_answer_outlives_the_run_and_the_reuse_of_its_id() -> None:
    async def scenario(world: World, server: Server) -> None:
        del world
        assert await deliver(server, a_message("b")) == TAKEN
        await server.terminate("b")
        assert await deliver(server, a_message("b")) == TAKEN
        refused = await deliver(server, a_message("b", "late"))
        assert refused == stored.Receipt.OUTCOME_NOT_FOUND
        await server.start("b")
        assert await deliver(server, a_message("b")) == TAKEN
        assert await deliver(server, a_message("b", "late")) == refused
        assert await count(server, "b", SIGNALED) == 0

    receiving(scenario)


def test_nobody_has_one_answer_too_and_may_be_started_later() -> None:
    async def scenario(world: World, server: Server) -> None:
        del world
        refused = await deliver(server, a_message("nobody"))
        assert refused == stored.Receipt.OUTCOME_NOT_FOUND
        assert server.history.statistics().cache_entries == 1
        await server.start("nobody")
        assert await deliver(server, a_message("nobody")) == refused
        assert await deliver(server, a_message("nobody", "another")) == TAKEN
        assert server.history.statistics().cache_entries == 2
        missing = a_message("nobody", "third")
        missing.target.run_id = "00000000-0000-4000-8000-000000000000"
        assert await deliver(server, missing) == refused

    receiving(scenario)


def test_an_earlier_run_is_known_by_its_id() -> None:
    async def scenario(world: World, server: Server) -> None:
        del world
        earlier = await key_of(server, "b")
        await server.terminate("b")
        await server.start("b")
        cancel = a_message("b", cancel=True)
        cancel.target.run_id = earlier.run_id
        assert await deliver(server, cancel) == TAKEN
        signal = a_message("b", "signal")
        signal.target.run_id = earlier.run_id
        assert await deliver(server, signal) == stored.Receipt.OUTCOME_NOT_FOUND
        assert await count(server, "b", CANCEL_REQUESTED) == 0

    receiving(scenario)


def test_an_id_that_no_store_can_hold_is_nobody() -> None:
    async def scenario(world: World, server: Server) -> None:
        answer = await deliver(server, a_message("b\0"))
        assert answer == stored.Receipt.OUTCOME_NOT_FOUND
        assert await world.store.load_receipt(ReceiptKey(NAMESPACE.id, "b\0", "message")) is None

    receiving(scenario)


def test_expired_receipts_are_swept_and_no_others() -> None:
    async def scenario(world: World, server: Server) -> None:
        day = 86_400.0
        away = [StoreUnavailable("away")]

        async def read(name: str) -> None:
            if name == "delete_expired_receipts" and away:
                raise away.pop()

        world.faults.before_read = read
        assert await deliver(server, a_message("b")) == TAKEN
        await asyncio.sleep(3 * day)
        assert await deliver(server, a_message("b", "later")) == TAKEN
        await asyncio.sleep(5 * day)
        kept = [
            await world.store.load_receipt(ReceiptKey(NAMESPACE.id, "b", message_id)) is not None
            for message_id in ("message", "later")
        ]
        assert kept == [False, True]

    settings = HistorySettings(
        timer_horizon=7200.0, messages=MessageSettings(sweep_seconds=3600.0, scan_seconds=3600.0)
    )
    receiving(scenario, settings)


def test_cancel_requests_travel_alike() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await started(server, "b")
        target = WorkflowExecution(workflow_id="b")
        await send(server, "a", cancel_external(target), cancel_external(target))
        await quiet()
        told = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
        assert await count(server, "a", told) == 2
        assert await count(server, "b", CANCEL_REQUESTED) == 1
        assert await outbox(world) == 0

    run(scenario)


def test_rows_that_are_read_or_written_while_their_slot_is_lost_are_not_kept() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        Post(first).errors = [UnavailableError("away")] * 1000
        await started(first, "b")
        await send(first, "a", to("b"))
        first.history.stop()
        go_on = asyncio.Event()

        async def read(name: str) -> None:
            if name == "read_messages":
                await go_on.wait()

        world.faults.before_read = read
        second = await world.serve()
        await second.signal("a")
        task = await second.take()
        world.faults.open.clear()
        completing = asyncio.create_task(second.complete(task, to("b")))
        await quiet()
        second.history.shards.adopt([])
        world.faults.open.set()
        await completing
        go_on.set()
        await quiet()
        assert await outbox(world) == 2
        assert second.history.statistics().messages == 0

    run(scenario)
