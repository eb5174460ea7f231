"""Updates for the core's driver: a client's requests, and a worker that answers messages."""

from collections.abc import Sequence

from temporalio.api.command.v1 import Command
from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Request
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.driver import payloads
from conformance.rpc import build
from perdure.core.update import outcomes, tasks
from perdure.core.workflow import completion
from perdure.core.workflow.deadlines import expire_workflow_task
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task import transitions
from perdure.core.workflow_task.tasks import dispatch_task
from unit.core.driver import Driver, Taken


def ask(driver: Driver, update_id: str = "u") -> outcomes.Found:
    """Asks the current run for an update."""
    request = build(
        Request,
        meta={"update_id": update_id, "identity": "client"},
        input={"name": "change", "args": payloads("argument")},
    )
    return driver.update("", lambda _, change: outcomes.request(change, request))


def take_speculative(driver: Driver) -> Taken:
    """Gives the speculative task, of which no row says anything, to a worker."""
    run = driver.run()
    assert run.speculative
    return driver.take(dispatch_task(run, run.state.workflow_task))


def sent_with(driver: Driver, *, resend: bool = True, repeated: bool = False) -> list[str]:
    """Returns the ids of the updates that come with the task that has started."""
    run = driver.run()
    started = run.state.workflow_task.started_event_id
    messages = tasks.outgoing(run, started, resend=resend, repeated=repeated)
    return [each.protocol_instance_id for each in messages]


def answer(
    driver: Driver,
    taken: Taken,
    messages: Sequence[ProtocolMessage],
    *batch: Command,
    **fields: object,
) -> completion.CompletedTask:
    """Completes a workflow task with messages."""
    request = build(
        wf.RespondWorkflowTaskCompletedRequest,
        commands=batch,
        messages=messages,
        identity="worker",
        **fields,
    )

    def act(step: Step, change: RunStep) -> completion.CompletedTask:
        return completion.complete_task(step, change, taken.token, request)

    return driver.update(taken.token.run_id, act)


def expire(driver: Driver) -> None:
    """Lets the time of the speculative task pass."""
    driver.update("", lambda _, change: expire_workflow_task(change))


def undo(driver: Driver) -> None:
    """Takes a started speculative task back from a poller that is gone."""
    driver.update("", lambda _, change: transitions.undo_start(change))
