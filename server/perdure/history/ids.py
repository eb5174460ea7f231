"""The identifiers that a step may use: the runtime's, and task ids under the newest epoch."""

from perdure.history.shards import ShardSet
from perdure.runtime.ports import Ids


class StepIdentifiers:
    """Implements `perdure.core.workflow.step.StepIds`."""

    def __init__(self, *, ids: Ids, shards: ShardSet) -> None:
        self.run_id = ids.run_id
        self.request_id = ids.request_id
        self.nonce = ids.nonce
        self.random = ids.random
        self.task_id = shards.next_task_id
