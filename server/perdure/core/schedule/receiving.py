"""What workflows and schedules take in of each other's messages."""

from typing import Final

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.errors import WorkflowExecutionAlreadyStartedError
from perdure.core.schedule.answers import closed
from perdure.core.workflow import signals, start
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep, Step
from perdure.proto import stored_pb2 as stored

KINDS: Final = frozenset({"start_scheduled", "scheduled_closed", "end_scheduled"})
"""The payloads of messages that this module takes in."""


def take(step: Step, run: Run | None, message: stored.Message) -> stored.Receipt:
    """Takes a message of `KINDS` in.

    Args:
        step: The step of the receiver's workflow id.
        run: The receiver; None when there is no such run.
        message: The message.
    """
    if message.HasField("start_scheduled"):
        return _start(step, message)
    if run is None or not run.is_running:
        return stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
    if message.HasField("scheduled_closed"):
        return _take_closed(step, run, message)
    return _end(step, run, message.end_scheduled)


def _start(step: Step, message: stored.Message) -> stored.Receipt:
    asked = message.start_scheduled

    def remember_schedule(change: RunStep) -> None:
        if asked.reports:
            by = change.run.start.scheduled_by
            by.schedule.CopyFrom(message.sender)
            by.start_id = message.id

    try:
        result = start.start_workflow(step, message.namespace_id, asked.request, remember_schedule)
    except WorkflowExecutionAlreadyStartedError:
        return stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
    receipt = stored.Receipt(outcome=stored.Receipt.OUTCOME_TAKEN)
    receipt.scheduled_started.run_id = result.run_id
    receipt.scheduled_started.start_time = step.now
    return receipt


def _take_closed(step: Step, run: Run, message: stored.Message) -> stored.Receipt:
    if run.schedule is None:
        return stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
    closed(step.edit(run), message.scheduled_closed)
    return stored.Receipt(outcome=stored.Receipt.OUTCOME_TAKEN)


def _end(step: Step, run: Run, asked: stored.Message.EndScheduled) -> stored.Receipt:
    if run.start.first_run_id != asked.first_run_id:
        return stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
    change = step.edit(run)
    if asked.terminate:
        terminate(change, Termination(reason=asked.reason, identity=asked.identity))
    elif not change.state.cancel_requested:
        signals.record_cancel_request(
            change,
            history.WorkflowExecutionCancelRequestedEventAttributes(
                cause=asked.reason, identity=asked.identity
            ),
        )
    return stored.Receipt(outcome=stored.Receipt.OUTCOME_TAKEN)
