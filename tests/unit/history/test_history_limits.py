"""A run whose history would grow too long is ended in place of the step that would do it."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status

from conformance.driver import payload
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.workflow.settings import WorkflowSettings
from perdure.history.ports import HistorySettings
from unit.history.world import World, run


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (WorkflowSettings(max_history_events=3), "Workflow history count exceeds limit."),
        (WorkflowSettings(max_history_bytes=10), "Workflow history size exceeds limit."),
        (WorkflowSettings(max_state_bytes=10), "Workflow mutable state size exceeds limit."),
    ],
)
def test_a_run_is_ended_by_its_history(limits: WorkflowSettings, reason: str) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(HistorySettings(workflow=limits))
        await server.start("a", memo={"fields": {"note": payload("more than ten bytes")}})
        if limits.max_history_events == 3:
            await server.signal("a", "fits")
        with pytest.raises(InvalidArgumentError) as refused:
            await server.signal("a", "too much")
        assert refused.value.message == reason
        described = await server.describe("a")
        status = described.workflow_execution_info.status
        assert status == Status.WORKFLOW_EXECUTION_STATUS_TERMINATED
        closed = (await server.read("a")).history.events[-1]
        assert closed.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
        attributes = closed.workflow_execution_terminated_event_attributes
        assert (attributes.reason, attributes.identity) == (reason, "history-service")
        with pytest.raises(NotFoundError):
            await server.signal("a", "late")

    run(scenario)
