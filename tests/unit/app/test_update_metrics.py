"""What updates tell metrics."""

from perdure.app.update_metrics import UpdateMetrics
from perdure.telemetry.collectors import Metrics
from unit.app.test_cluster_metrics import values


def test_updates_are_counted_by_what_becomes_of_them() -> None:
    metrics = Metrics()
    observer = UpdateMetrics(metrics)
    observer.update_requested("default", completed=True)
    observer.update_requested("default", completed=True)
    observer.update_requested("default", completed=False)
    observer.update_admitted(100)
    observer.updates_sent(2)
    observer.updates_answered(accepted=3, rejected=1, completed=2)
    own = 'operation="WorkflowContext",service_name="history"'
    assert values(
        metrics,
        "request_workflow_update_message",
        "workflow_update_sent_to_worker",
        "accept_workflow_update_message",
        "reject_workflow_update_message",
        "respond_workflow_update_message",
        "workflow_update_registry_size_sum",
    ) == {
        f"request_workflow_update_message{{{own}}}": 1.0,
        f"workflow_update_sent_to_worker{{{own}}}": 2.0,
        f"accept_workflow_update_message{{{own}}}": 3.0,
        f"reject_workflow_update_message{{{own}}}": 1.0,
        f"respond_workflow_update_message{{{own}}}": 2.0,
        f"workflow_update_registry_size_sum{{{own}}}": 100.0,
    }
    waited = 'namespace="default",operation="UpdateWorkflowExecution",service_name="history"'
    assert values(
        metrics, "workflow_update_wait_stage_accepted", "workflow_update_wait_stage_completed"
    ) == {
        f"workflow_update_wait_stage_accepted{{{waited}}}": 1.0,
        f"workflow_update_wait_stage_completed{{{waited}}}": 2.0,
    }
