"""Updates in the history role: what they cost, who waits, and what is lost with memory."""

import asyncio

import pytest
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Request
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import complete_workflow
from conformance.driver import payloads
from conformance.rpc import build
from conformance.updating import ACCEPTED, COMPLETED, accept, reject, respond
from perdure.core.errors import NotFoundError, UnavailableError
from perdure.core.update import outcomes
from perdure.history.ports import HistorySettings
from perdure.persistence.ports import StoreError
from unit.history.world import NAMESPACE, QUEUE, Server, World, execution, run, settle

Answer = asyncio.Task[wf.UpdateWorkflowExecutionResponse]


def asking(server: Server, update_id: str = "u", *, wait: str = COMPLETED) -> Answer:
    request = build(
        wf.UpdateWorkflowExecutionRequest,
        namespace=NAMESPACE.name,
        workflow_execution=execution("a"),
        wait_policy={"lifecycle_stage": wait},
        request={
            "meta": {"update_id": update_id},
            "input": {"name": "change", "args": payloads("argument")},
        },
    )
    return asyncio.create_task(server.history.update_workflow_execution(NAMESPACE, request, 20.0))


async def polled(server: Server, update_id: str = "u") -> wf.PollWorkflowExecutionUpdateResponse:
    request = build(
        wf.PollWorkflowExecutionUpdateRequest,
        namespace=NAMESPACE.name,
        update_ref={"workflow_execution": execution("a"), "update_id": update_id},
        wait_policy={"lifecycle_stage": COMPLETED},
    )
    return await server.history.poll_workflow_execution_update(NAMESPACE, request, 20.0)


async def answer(
    server: Server, task: wf.PollWorkflowTaskQueueResponse, *messages: ProtocolMessage
) -> wf.RespondWorkflowTaskCompletedResponse:
    request = wf.RespondWorkflowTaskCompletedRequest(
        task_token=task.task_token, messages=messages, return_new_workflow_task=True
    )
    encoded = await server.history.respond_workflow_task_completed(NAMESPACE, request)
    return wf.RespondWorkflowTaskCompletedResponse.FromString(encoded)


async def idle(world: World, settings: HistorySettings | None = None) -> Server:
    server = await world.serve(settings)
    await server.start("a")
    await server.complete(await server.take())
    return server


def test_a_rejected_update_costs_no_commit_and_an_accepted_one_costs_one() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        before = len(world.faults.batches)
        asked = asking(server)
        task = await server.take()
        assert [each.id for each in task.messages] == ["u/request"]
        done = await answer(server, task, reject())
        assert done.reset_history_event_id == 3
        assert (await asked).outcome.failure.message == "refused"
        assert len(world.faults.batches) == before
        poll = server.poll()
        await settle()
        asked = asking(server)
        task = wf.PollWorkflowTaskQueueResponse.FromString(await poll)
        await answer(server, task, accept(), respond())
        assert (await asked).outcome.success == payloads("changed")
        assert len(world.faults.batches) == before + 1

    run(scenario)


def test_nobody_is_told_of_what_is_not_durable() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        asked = asking(server)
        task = await server.take()
        world.faults.open.clear()
        completing = asyncio.create_task(answer(server, task, accept(), respond()))
        await settle()
        assert not asked.done()
        assert not completing.done()
        world.faults.open.set()
        await completing
        assert (await asked).stage == outcomes.COMPLETED

    run(scenario)


def test_an_update_whose_acceptance_is_lost_is_taken_in_again() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        asked = asking(server)
        task = await server.take()
        world.faults.losses.append(StoreError("lost"))
        with pytest.raises((NotFoundError, UnavailableError)):
            await answer(server, task, accept(), respond())
        task = await server.take()
        assert [each.id for each in task.messages] == ["u/request"]
        await answer(server, task, accept(), respond())
        assert (await asked).outcome.success == payloads("changed")

    run(scenario)


def test_two_clients_of_one_update_get_one_outcome() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        first, second = asking(server), asking(server)
        task = await server.take()
        assert len(task.messages) == 1
        await answer(server, task, accept(), respond())
        assert (await first).outcome == (await second).outcome == (await polled(server)).outcome
        assert (await asking(server)).outcome == (await first).outcome

    run(scenario)


def test_an_outcome_is_read_from_the_store_when_memory_has_it_no_more() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world, HistorySettings(cache_bytes=1, tail_bytes=1))
        asked = asking(server)
        await answer(server, await server.take(), accept(), respond())
        await asked
        await server.start("other")
        await server.signal("a")
        await server.complete(await server.take())
        assert (await polled(server)).outcome.success == payloads("changed")

    run(scenario)


def test_the_stage_that_is_reached_is_told_when_time_is_up() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        asked = asking(server, wait=ACCEPTED)
        began = world.loop.time()
        assert (await asked).stage == outcomes.ADMITTED
        assert world.loop.time() - began == pytest.approx(20.0, abs=0.1)
        events = (await server.read("a")).history.events
        assert [event.event_id for event in events] == list(range(1, 8))
        task = await server.take()
        await answer(server, task, accept())
        assert (await asking(server, wait=ACCEPTED)).stage == outcomes.ACCEPTED

    run(scenario)


def test_a_worker_that_never_answers_has_its_task_given_to_another() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        asked = asking(server)
        await server.take()
        task = await server.take()
        assert task.attempt == 2
        assert [each.id for each in task.messages] == ["u/request"]
        await answer(server, task, accept(), respond())
        assert (await asked).stage == outcomes.COMPLETED

    run(scenario)


def test_a_poll_that_goes_at_once_leaves_the_update_to_the_next_one() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        poll = server.poll()
        await settle()
        before = len(world.faults.batches)
        asked = asking(server)
        poll.cancel()
        await asyncio.wait([poll])
        task = await server.take()
        assert task.messages
        await answer(server, task, reject())
        await asked
        assert len(world.faults.batches) == before

    run(scenario)


def test_a_closing_workflow_answers_who_waits() -> None:
    async def scenario(world: World) -> None:
        server = await idle(world)
        accepted = asking(server, "accepted")
        await answer(server, await server.take(), accept("accepted"))
        sent = asking(server, "sent")
        task = await server.take()
        await server.complete(task, complete_workflow())
        assert (await accepted).outcome.HasField("failure")
        with pytest.raises(NotFoundError, match="aborted by closing workflow"):
            await sent

    run(scenario)


def test_an_update_with_a_start_is_sent_with_the_first_task() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        start = build(
            wf.StartWorkflowExecutionRequest,
            workflow_id="a",
            workflow_type={"name": "Workflow"},
            task_queue={"name": QUEUE},
            workflow_task_timeout={"seconds": 10},
            request_id="request",
        )
        update = wf.UpdateWorkflowExecutionRequest(
            workflow_execution=execution("a"),
            request=Request(meta={"update_id": "u"}, input={"name": "change"}),  # type: ignore[arg-type]
        )
        update.wait_policy.lifecycle_stage = outcomes.COMPLETED
        request = wf.ExecuteMultiOperationRequest()
        request.operations.add().start_workflow.CopyFrom(start)
        request.operations.add().update_workflow.CopyFrom(update)
        asked = asyncio.create_task(
            server.history.execute_multi_operation(NAMESPACE, request, 20.0)
        )
        await settle()
        before = len(world.faults.batches)
        task = await server.take()
        assert [each.protocol_instance_id for each in task.messages] == ["u"]
        await answer(server, task, accept(), respond())
        begun, updated = (await asked).responses
        assert begun.start_workflow.started
        assert updated.update_workflow.outcome.success == payloads("changed")
        assert len(world.faults.batches) == before + 2

    run(scenario)
