"""Updates of simulated workflows: what clients ask, what workers answer, and what must hold.

Theory of operation: an update says itself what becomes of it, so that no fault can change that: a
worker refuses it, accepts and completes it at once, or completes it with the next workflow task.
Its outcome is its own token. A run that closes leaves what it has accepted without a worker's
outcome, and takes nothing else.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import update_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.protocol.v1 import message_pb2 as protocol
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from simulation.commands import json_payloads, json_value

ACCEPTED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
WAIT_SECONDS = 20.0
OUTLIVED = "AcceptedUpdateCompletedWorkflow"


class Fate(StrEnum):
    """What becomes of an update."""

    REJECTED = "rejected"
    COMPLETED = "completed"
    COMPLETED_LATER = "completed later"


@dataclass(slots=True)
class Asked:
    """An update that a client has asked for.

    Attributes:
        workflow_id: Of whom.
        fate: What has to become of it.
        completed_in: The run whose worker completed it, as the client was told; else empty.
        accepted_in: The run whose worker accepted it, as the client was told; else empty.
    """

    workflow_id: str
    fate: Fate
    completed_in: str = ""
    accepted_in: str = ""


def draw(workflow_id: str, generator: random.Random) -> dict[str, tuple[Fate, float]]:
    """Returns updates of a workflow by their tokens, each with the time at which it is sent."""
    return {
        f"{workflow_id}/u{number}": (
            generator.choice(list(Fate)),
            generator.choice((0.0, 0.01, 0.5, 3.0, 12.0)),
        )
        for number in range(generator.choice((0, 1, 2, 4)))
    }


def request_of(
    namespace: str, workflow_id: str, token: str, fate: Fate
) -> wf.UpdateWorkflowExecutionRequest:
    """Returns the request for an update."""
    return wf.UpdateWorkflowExecutionRequest(
        namespace=namespace,
        workflow_execution=common.WorkflowExecution(workflow_id=workflow_id),
        wait_policy=update.WaitPolicy(lifecycle_stage=COMPLETED),
        request=update.Request(
            meta=update.Meta(update_id=token, identity="client"),
            input=update.Input(name=fate, args=json_payloads(token)),
        ),
    )


def judge(
    asked: Asked,
    token: str,
    answer: wf.UpdateWorkflowExecutionResponse | wf.PollWorkflowExecutionUpdateResponse,
) -> str:
    """Notes what a client was told of an update; returns what is wrong with it, or ""."""
    outcome = answer.outcome
    if outcome.HasField("success"):
        asked.completed_in = answer.update_ref.workflow_execution.run_id
        if asked.fate is Fate.REJECTED or json_value(outcome.success) != token:
            return f"update {token} ({asked.fate}) has succeeded with {outcome.success}"
        return ""
    if outcome.failure.application_failure_info.type == OUTLIVED:
        return "" if asked.fate is not Fate.REJECTED else f"update {token} was accepted"
    if asked.fate is not Fate.REJECTED:
        return f"update {token} was rejected: {outcome.failure.message}"
    return ""


@dataclass(slots=True)
class OpenUpdates:
    """What a run's history says of its updates.

    An update that a reset has carried over comes in an event and in no message. As an SDK does, the
    worker takes the event for the message, and answers with the next workflow task that completes.

    Attributes:
        tokens: Of the updates that are accepted and not completed.
        admitted: The updates that events have brought and no task has answered, by token.
    """

    tokens: list[str] = field(default_factory=list)
    admitted: dict[str, protocol.Message] = field(default_factory=dict)

    def apply(self, batch: Iterable[history.HistoryEvent]) -> None:
        """Reads events."""
        for event in batch:
            if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
                attributes = event.workflow_execution_update_admitted_event_attributes
                token = attributes.request.meta.update_id
                message = _message(token, "request", attributes.request)
                message.event_id = event.event_id
                self.admitted[token] = message
            elif event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                self.admitted.clear()
            elif event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                accepted = event.workflow_execution_update_accepted_event_attributes
                self.tokens.append(accepted.protocol_instance_id)
            elif event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                completed = event.workflow_execution_update_completed_event_attributes
                self.tokens.remove(completed.meta.update_id)


def answers(
    messages: Iterable[protocol.Message], accepted: Iterable[str]
) -> Iterator[protocol.Message]:
    """Yields what a worker says of the updates of a task, and of those that it accepted before."""
    for token in accepted:
        yield _response(token)
    for message in messages:
        request = update.Request.FromString(message.body.value)
        token, fate = request.meta.update_id, Fate(request.input.name)
        if fate is Fate.REJECTED:
            body = update.Rejection(
                rejected_request_message_id=message.id,
                rejected_request=request,
                failure=failures.Failure(message="simulated"),
            )
            yield _message(token, "reject", body)
            continue
        acceptance = update.Acceptance(
            accepted_request_message_id=message.id,
            accepted_request_sequencing_event_id=message.event_id,
            accepted_request=request,
        )
        yield _message(token, "accept", acceptance)
        if fate is Fate.COMPLETED:
            yield _response(token)


def _response(token: str) -> protocol.Message:
    response = update.Response(
        meta=update.Meta(update_id=token, identity="worker"),
        outcome=update.Outcome(success=json_payloads(token)),
    )
    return _message(token, "complete", response)


def _message(token: str, kind: str, body: Message) -> protocol.Message:
    packed = Any()
    packed.Pack(body)
    return protocol.Message(id=f"{token}/{kind}", protocol_instance_id=token, body=packed)


def updates_happened_once(
    asked: Mapping[str, Asked], histories: Mapping[str, tuple[str, list[history.HistoryEvent]]]
) -> Iterator[str]:
    """Yields what is wrong with the updates in the histories, which are (workflow id, events)."""
    completed: set[tuple[str, str]] = set()
    accepted_in: set[tuple[str, str]] = set()
    for run_id, (workflow_id, batch) in histories.items():
        accepted = Counter(_accepted(batch))
        accepted_in |= {(token, run_id) for token in accepted}
        yield from _wrongly_accepted(asked, accepted, workflow_id, run_id)
        for token, outcome in _completed(batch):
            if (token, run_id) in completed or not accepted[token]:
                yield f"update {token} is completed twice, or unasked, in {run_id}"
            if json_value(outcome.success) != token:
                yield f"update {token} has another one's outcome in {run_id}"
            completed.add((token, run_id))
    for token, known in asked.items():
        if known.completed_in and (token, known.completed_in) not in completed:
            yield f"update {token} of {known.workflow_id} was acknowledged and is lost"
        if known.accepted_in and (token, known.accepted_in) not in accepted_in:
            yield f"update {token} of {known.workflow_id} was accepted and is lost"


def _wrongly_accepted(
    asked: Mapping[str, Asked], accepted: Mapping[str, int], workflow_id: str, run_id: str
) -> Iterator[str]:
    for token, count in accepted.items():
        known = asked.get(token)
        if known is None or known.workflow_id != workflow_id:
            yield f"update {token} was never asked of {workflow_id}"
        elif known.fate is Fate.REJECTED:
            yield f"update {token} is accepted in {run_id}, and has to be refused"
        if count > 1:
            yield f"update {token} is accepted {count} times in {run_id}"


def _accepted(batch: Iterable[history.HistoryEvent]) -> Iterator[str]:
    for event in batch:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            attributes = event.workflow_execution_update_accepted_event_attributes
            yield attributes.protocol_instance_id


def _completed(batch: Iterable[history.HistoryEvent]) -> Iterator[tuple[str, update.Outcome]]:
    for event in batch:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            attributes = event.workflow_execution_update_completed_event_attributes
            yield attributes.meta.update_id, attributes.outcome
