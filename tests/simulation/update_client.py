"""A client that asks for updates: of workflows that run, or that it starts for them."""

import asyncio

from temporalio.api.update.v1 import message_pb2 as messages
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code
from simulation.ledger import Ledger, Start
from simulation.rpc import Frontend
from simulation.updates import ACCEPTED, COMPLETED, WAIT_SECONDS, Asked, Fate, judge, request_of

DEADLINE_SECONDS = WAIT_SECONDS + 5.0
REFUSALS = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
"""The run is closed, or closes; or its tasks keep failing."""


class UpdateClient:
    """Asks for updates of one workflow until they have an outcome."""

    def __init__(self, *, workflow_id: str, frontend: Frontend, ledger: Ledger) -> None:
        self._name = workflow_id
        self._frontend = frontend
        self._ledger = ledger

    async def update(self, token: str, fate: Fate, at: float) -> None:
        """Asks for an update, and waits for its end or for its acceptance first."""
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(at)
        self._ledger.updates[token] = Asked(self._name, fate)
        request = request_of(frontend.namespace.name, self._name, token, fate)
        request.wait_policy.lifecycle_stage = frontend.generator.choice((ACCEPTED, COMPLETED))
        ended = False
        while not ended:
            answer = await frontend.ask(
                self._name,
                f"update {token} ({fate})",
                lambda: history.update_workflow_execution(
                    frontend.namespace, request, WAIT_SECONDS
                ),
                accept=REFUSALS,
                seconds=DEADLINE_SECONDS,
            )
            ended = answer is None or await self._is_over(token, answer)

    async def update_with_start(
        self,
        token: str,
        fate: Fate,
        at: float,
        start: wf.StartWorkflowExecutionRequest,
        begun: asyncio.Event,
    ) -> None:
        """Asks for an update of a workflow, which is started if it does not run.

        Args:
            token: The update's id.
            fate: What becomes of it.
            at: When, in seconds from now.
            start: The request to start; it gets a request id of its own.
            begun: Is set when the workflow is known to have been started.
        """
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(at)
        self._ledger.updates[token] = Asked(self._name, fate)
        request = wf.ExecuteMultiOperationRequest(namespace=frontend.namespace.name)
        own = request.operations.add().start_workflow
        own.CopyFrom(start)
        own.request_id = f"{frontend.generator.getrandbits(64):016x}"
        asked = request.operations.add().update_workflow
        asked.CopyFrom(request_of(frontend.namespace.name, self._name, token, fate))
        ended = False
        while not ended:
            # A run that closes with the update aborts it.
            answer = await frontend.ask(
                self._name,
                f"update {token} ({fate}) with start",
                lambda: history.execute_multi_operation(frontend.namespace, request, WAIT_SECONDS),
                accept=(*REFUSALS, Code.ALREADY_EXISTS, Code.ABORTED),
                seconds=DEADLINE_SECONDS,
            )
            begun.set()
            if answer is None:
                return
            started, updated = answer.responses
            made = started.start_workflow
            self._ledger.starts.append(Start(self._name, own.request_id, made.run_id, made.started))
            ended = await self._is_over(token, updated.update_workflow)

    async def _is_over(self, token: str, answer: wf.UpdateWorkflowExecutionResponse) -> bool:
        """Notes how far an update has come, and waits for its end if it is accepted."""
        asked = self._ledger.updates[token]
        if answer.stage == ACCEPTED:
            asked.accepted_in = answer.update_ref.workflow_execution.run_id
            await self._poll(token, answer.update_ref)
            return True
        if answer.stage == COMPLETED and (wrong := judge(asked, token, answer)):
            self._frontend.trace.violation(wrong)
        return answer.stage == COMPLETED

    async def _poll(self, token: str, reference: messages.UpdateRef) -> None:
        """Waits for the end of an update that its run has accepted: it is not forgotten."""
        frontend, history = self._frontend, self._frontend.history
        request = wf.PollWorkflowExecutionUpdateRequest(
            namespace=frontend.namespace.name,
            update_ref=reference,
            wait_policy=messages.WaitPolicy(lifecycle_stage=COMPLETED),
        )
        while True:
            answer = await frontend.ask(
                self._name,
                f"poll of update {token}",
                lambda: history.poll_workflow_execution_update(
                    frontend.namespace, request, WAIT_SECONDS
                ),
                accept=(),
                seconds=DEADLINE_SECONDS,
            )
            if answer is None:
                return
            if answer.stage == COMPLETED:
                if wrong := judge(self._ledger.updates[token], token, answer):
                    frontend.trace.violation(wrong)
                return
