"""Histories made by hand, for the tests of the checks: sound ones, to be broken in one place."""

from typing import Any

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history

from simulation.commands import duration, json_payloads
from simulation.invariants import FinalRun


class HistoryMaker:
    """Appends events, a second apart."""

    def __init__(self, workflow_id: str = "w", run_id: str = "r") -> None:
        self.run = FinalRun(workflow_id, run_id, [])

    def add(self, name: str, **attributes: Any) -> history.HistoryEvent:
        """Appends an event of a type, as in `add("TIMER_FIRED", timer_id="t")`."""
        event = history.HistoryEvent(
            event_id=len(self.run.events) + 1,
            event_type=events.EventType.Value(f"EVENT_TYPE_{name}"),
        )
        event.event_time.FromSeconds(1_000 + event.event_id)
        getattr(event, f"{name.lower()}_event_attributes").SetInParent()
        target = getattr(event, f"{name.lower()}_event_attributes")
        for key, value in attributes.items():
            if isinstance(value, int | str | bytes):
                setattr(target, key, value)
            else:
                getattr(target, key).CopyFrom(value)
        self.run.events.append(event)
        return event


def workflow_task(maker: HistoryMaker) -> int:
    """Appends a completed workflow task; returns its started event's id."""
    scheduled = maker.add("WORKFLOW_TASK_SCHEDULED", start_to_close_timeout=duration(10)).event_id
    started = maker.add("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled).event_id
    maker.add("WORKFLOW_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=started)
    return started


def sample_run(workflow_id: str = "w", run_id: str = "r") -> FinalRun:
    """Returns a sound run: a signal, an activity that took two attempts, a timer, a result.

    Its events: 1 started, 2 signal, 3 to 5 task, 6 activity scheduled, 7 timer started, 8 activity
    started, 9 activity completed, 10 timer fired, 11 to 13 task, 14 completed.
    """
    maker = HistoryMaker(workflow_id, run_id)
    maker.add("WORKFLOW_EXECUTION_STARTED", attempt=1, original_execution_run_id=run_id)
    maker.add("WORKFLOW_EXECUTION_SIGNALED", input=json_payloads("s1"))
    workflow_task(maker)
    maker.add("ACTIVITY_TASK_SCHEDULED", activity_id="a1")
    maker.add("TIMER_STARTED", timer_id="t0", start_to_fire_timeout=duration(3))
    maker.add("ACTIVITY_TASK_STARTED", scheduled_event_id=6, attempt=2)
    maker.add("ACTIVITY_TASK_COMPLETED", scheduled_event_id=6, started_event_id=8)
    maker.add("TIMER_FIRED", timer_id="t0", started_event_id=7)
    workflow_task(maker)
    maker.add("WORKFLOW_EXECUTION_COMPLETED", result=json_payloads(["done"]))
    return maker.run
