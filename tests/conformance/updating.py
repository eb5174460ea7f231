"""Updates by hand: the client's requests, and a worker's answers as protocol messages."""

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Acceptance, Outcome, Rejection, Request, Response
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import command
from conformance.driver import Driver, application_failure, payloads
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE

ACCEPTED = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED"
COMPLETED = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"
ADMITTED = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED"


def update_request(
    driver: Driver, update_id: str = "u", run_id: str = "", *, wait: str = COMPLETED, **fields: Any
) -> wf.UpdateWorkflowExecutionRequest:
    """Returns an update's request."""
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "workflow_execution": driver.execution(run_id),
        "wait_policy": {"lifecycle_stage": wait},
        "request": {
            "meta": {"update_id": update_id, "identity": IDENTITY},
            "input": {"name": "change", "args": payloads("argument")},
        },
    }
    return build(wf.UpdateWorkflowExecutionRequest, **defaults | fields)


async def update(
    driver: Driver, update_id: str = "u", run_id: str = "", *, timeout: float = 30.0, **fields: Any
) -> wf.UpdateWorkflowExecutionResponse:
    """UpdateWorkflowExecution."""
    request = update_request(driver, update_id, run_id, **fields)
    return await call(driver.env, request, wf.UpdateWorkflowExecutionResponse, timeout=timeout)


async def poll_update(
    driver: Driver,
    update_id: str = "u",
    run_id: str = "",
    *,
    wait: str | None = COMPLETED,
    timeout: float = 30.0,
) -> wf.PollWorkflowExecutionUpdateResponse:
    """PollWorkflowExecutionUpdate."""
    request = build(
        wf.PollWorkflowExecutionUpdateRequest,
        namespace=NAMESPACE,
        update_ref={"workflow_execution": driver.execution(run_id), "update_id": update_id},
        identity=IDENTITY,
        wait_policy={"lifecycle_stage": wait} if wait else None,
    )
    return await call(driver.env, request, wf.PollWorkflowExecutionUpdateResponse, timeout=timeout)


async def update_with_start(
    driver: Driver,
    *,
    start: dict[str, Any],
    update_id: str = "u",
    timeout: float = 30.0,
    **fields: Any,
) -> wf.ExecuteMultiOperationResponse:
    """ExecuteMultiOperation."""
    request = build(
        wf.ExecuteMultiOperationRequest,
        namespace=NAMESPACE,
        operations=[
            {"start_workflow": driver.start_request(**start)},
            {"update_workflow": update_request(driver, update_id, **fields)},
        ],
    )
    return await call(driver.env, request, wf.ExecuteMultiOperationResponse, timeout=timeout)


def requests(task: wf.PollWorkflowTaskQueueResponse) -> dict[str, Request]:
    """Returns the updates that come with a task, by id."""
    found = {}
    for message in task.messages:
        found[message.protocol_instance_id] = Request.FromString(message.body.value)
    return found


def message(update_id: str, body: Message, *, kind: str) -> ProtocolMessage:
    """Returns a worker's message about an update."""
    packed = AnyMessage()
    packed.Pack(body)
    return ProtocolMessage(id=f"{update_id}/{kind}", protocol_instance_id=update_id, body=packed)


def accept(update_id: str = "u", request: Request | None = None) -> ProtocolMessage:
    """Returns an acceptance."""
    body = Acceptance(
        accepted_request_message_id=f"{update_id}/request",
        accepted_request_sequencing_event_id=7,
        accepted_request=request,
    )
    return message(update_id, body, kind="accept")


def reject(update_id: str = "u", text: str = "refused") -> ProtocolMessage:
    """Returns a rejection."""
    body = Rejection(
        rejected_request_message_id=f"{update_id}/request", failure=Failure(message=text)
    )
    return message(update_id, body, kind="reject")


def respond(update_id: str = "u", result: str = "changed") -> ProtocolMessage:
    """Returns the outcome of an update's handler."""
    body = build(
        Response,
        meta={"update_id": update_id, "identity": IDENTITY},
        outcome=Outcome(success=payloads(result)),
    )
    return message(update_id, body, kind="complete")


def fail(update_id: str = "u", text: str = "failed") -> ProtocolMessage:
    """Returns the failure of an update's handler."""
    body = build(
        Response,
        meta={"update_id": update_id, "identity": IDENTITY},
        outcome=Outcome(failure=application_failure(text)),
    )
    return message(update_id, body, kind="complete")


def commands_of(*messages: ProtocolMessage) -> list[Command]:
    """Returns the commands that put messages in their order."""
    return [command("PROTOCOL_MESSAGE", {"message_id": each.id}) for each in messages]


async def idle(driver: Driver, *, sticky: bool = False) -> None:
    """Starts a workflow and completes its first task, so that nothing is pending."""
    await driver.start()
    await driver.step(**(driver.sticky() if sticky else {}))
