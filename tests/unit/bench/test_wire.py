"""Templates give what protobuf gives."""

from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.workflowservice.v1.request_response_pb2 import SignalWorkflowExecutionRequest

from bench.wire import Template, varint


@given(st.text(max_size=300), st.text(max_size=20_000))
def test_a_filled_template_parses_to_the_whole_message(workflow_id: str, request_id: str) -> None:
    constant = SignalWorkflowExecutionRequest(namespace="default", signal_name="go")
    execution = WorkflowExecution(workflow_id=workflow_id, run_id="r")
    template = Template(constant, "workflow_execution", "request_id")
    filled = template.fill(execution.SerializeToString(), request_id.encode())
    assert SignalWorkflowExecutionRequest.FromString(filled) == SignalWorkflowExecutionRequest(
        namespace="default",
        signal_name="go",
        workflow_execution=execution,
        request_id=request_id,
    )


def test_varints_at_the_edges_of_their_lengths() -> None:
    assert varint(0) == b"\x00"
    assert varint(127) == b"\x7f"
    assert varint(128) == b"\x80\x01"
    assert varint(16_384) == b"\x80\x80\x01"
