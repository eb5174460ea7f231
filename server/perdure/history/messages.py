"""Messages between workflows: sends those of its own runs, takes in those to its own runs."""

from perdure.core.child.receiving import start_receipt_key
from perdure.core.commit import MessageRow, RunKey
from perdure.core.errors import NamespaceNotFoundError, NotFoundError
from perdure.core.external.outcomes import settle
from perdure.core.external.receiving import receipt_needed, receive, refuse_start
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.execution import Executor
from perdure.history.ports import MessageObserver
from perdure.proto import stored_pb2 as stored
from perdure.rpc.history_client import HistoryMessages

NOT_FOUND = stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
NAMESPACE_NOT_FOUND = stored.Receipt(outcome=stored.Receipt.OUTCOME_NAMESPACE_NOT_FOUND)


class Messages:
    """Both ends.

    Attributes:
        receivers: Reaches the owners of all workflows.
    """

    def __init__(
        self, *, executor: Executor, receivers: HistoryMessages, observer: MessageObserver
    ) -> None:
        self.receivers = receivers
        self._executor = executor
        self._observer = observer

    async def send(self, row: MessageRow, message: stored.Message) -> None:
        """Delivers a message and tells its sender what came of it; holds no lease meanwhile.

        Raises:
            ServiceError: It did not work out; try again. The receiver may have the message.
        """
        try:
            receipt = await self.receivers.deliver_message(message)
        except NamespaceNotFoundError:
            receipt = NAMESPACE_NOT_FOUND
        try:
            await self._executor.update(
                row.run, lambda step, run: settle(step, run, row, message, receipt)
            )
        except NotFoundError:
            await self._executor.start(
                row.run.namespace_id,
                row.run.workflow_id,
                lambda step: step.drop_message(row),
                assume_new=False,
            )
        self._observer.message_sent(receipt.outcome == stored.Receipt.OUTCOME_TAKEN)

    async def take_in(self, message: stored.Message) -> stored.Receipt:
        """Has the receiver take a message in, once however often it comes.

        Raises:
            NotOwnerError: The receiver is another node's.
            UnavailableError: The store is away; try again.
        """
        target = message.target
        if "\0" in target.workflow_id:
            # No store could hold such an id, nor a receipt of it.
            return NOT_FOUND

        def act(step: Step, run: Run | None) -> bytes:
            return receive(step, run, message).SerializeToString()

        key = RunKey(message.namespace_id, target.workflow_id, target.run_id)
        if message.HasField("parent_close") and not message.parent_close.first_run_id:
            first_run_id = await self._started_child(key, message)
            if not first_run_id:
                return NOT_FOUND
            message = stored.Message.FromString(message.SerializeToString())
            message.parent_close.first_run_id = first_run_id
        data = await self._executor.receive(key, receipt_needed(message), act)
        return stored.Receipt.FromString(data)

    async def _started_child(self, key: RunKey, message: stored.Message) -> str:
        """Returns the first run of a child whose parent has closed without having heard of one.

        Empty when there is none: from then on none is started.
        """
        data = await self._executor.receive(
            key,
            start_receipt_key(message),
            lambda step, _: refuse_start(step, message).SerializeToString(),
        )
        return stored.Receipt.FromString(data).started_run_id
