"""Deletions, and changes of an open workflow's options, as the frontend lets them pass."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code
from unit.frontend.world import serving_frontend


def _update(*paths: str, **options: Any) -> wf.UpdateWorkflowExecutionOptionsRequest:
    return wf.UpdateWorkflowExecutionOptionsRequest(
        namespace="default",
        workflow_execution={"workflow_id": "workflow"},
        workflow_execution_options=options,
        update_mask=FieldMask(paths=paths),
    )


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (
            _update("versioning_override", versioning_override={"auto_upgrade": True}),
            Code.UNIMPLEMENTED,
        ),
        (_update("time_skipping_config"), Code.UNIMPLEMENTED),
        (_update("priority.nothing"), Code.INVALID_ARGUMENT),
        (_update("nothing"), Code.INVALID_ARGUMENT),
    ],
)
async def test_options_that_cannot_be_changed_are_refused(
    request_: wf.UpdateWorkflowExecutionOptionsRequest, code: Code
) -> None:
    async with serving_frontend() as (world, client):
        answer = await client.refusal("UpdateWorkflowExecutionOptions", request_)
        assert not world.history.calls
    assert answer.code is code
