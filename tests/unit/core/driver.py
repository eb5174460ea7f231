"""Drives the core as the history role does, without its event loop: one workflow id, in memory.

Every call is one step: load, act, commit to the rows. A refused step must leave everything as it
was, which is checked here. Workers are whoever calls `take_workflow_task` and `take_activity`.
Time stands still until `advance`, which fires timer rows on its way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.rpc import build
from perdure.core.activity import outcomes
from perdure.core.activity import state as activity_state
from perdure.core.activity import transitions as activity
from perdure.core.activity.tasks import dispatch_task
from perdure.core.commit import Commit, DispatchTask, MessageRow, TaskType, TimerRow
from perdure.core.errors import NamespaceNotFoundError, NotFoundError, ServiceError
from perdure.core.external.outcomes import settle
from perdure.core.external.receiving import Outcome, receipt_key, receive
from perdure.core.protobuf import seconds
from perdure.core.reset.begin import Past, begin_reset, cut
from perdure.core.reset.reapply import of_base, wanted_types
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.visibility.query import ValueType
from perdure.core.workflow import close, completion, signals
from perdure.core.workflow.deadlines import fire_due
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow.start import StartResult, start_workflow
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import NeedsStartEvent, RunStep, Step, StepContext
from perdure.core.workflow_task import state as task_state
from perdure.core.workflow_task import transitions as workflow_task
from perdure.proto import stored_pb2 as stored
from unit.core.rows import Rows

T = TypeVar("T")

NAMESPACE_ID = "namespace-id"
NAMESPACES = {"default": NAMESPACE_ID, "other": "other-namespace-id"}
WORKFLOW_ID = "wf"
EPOCH_START = seconds(1_700_000_000)
QUEUE, STICKY_QUEUE = "queue", "sticky"


class CountingIds:
    """Identifiers that count up: the same calls give the same ones."""

    def __init__(self) -> None:
        self._runs = self._requests = self._nonces = self._tasks = 0

    def run_id(self) -> str:
        self._runs += 1
        return f"run-{self._runs}"

    def request_id(self) -> str:
        self._requests += 1
        return f"server-request-{self._requests}"

    def nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:016x}"

    def task_id(self) -> int:
        self._tasks += 1
        return self._tasks

    def random(self) -> float:
        return 0.5


@dataclass(slots=True, frozen=True)
class Taken:
    """A task that a worker holds: the row it came from, the poll, and the token it answers with."""

    task: DispatchTask
    request_id: str
    token: stored.TaskToken


@dataclass(slots=True)
class Completed:
    """What completing a workflow task came to, seen by its worker."""

    problem: str = ""
    task: Taken | None = None
    eager: list[Taken] = field(default_factory=list)


class Driver:
    """One workflow id, its rows, a clock, and its runs in memory."""

    def __init__(self, settings: WorkflowSettings | None = None) -> None:
        self.rows = Rows(NAMESPACE_ID, WORKFLOW_ID)
        self.now = EPOCH_START
        self.ids = CountingIds()
        self.settings = settings or WorkflowSettings()
        self.retention = seconds(86_400)
        self.sticky_pollers = {STICKY_QUEUE}
        self.search_attributes: dict[str, ValueType] = {}
        self.runs: dict[str, Run] = {}
        self.commits: list[Commit] = []
        self.fused: list[Taken] = []
        self._fuse: frozenset[TaskType] = frozenset()
        self._polls = 0

    # Steps

    @property
    def current(self) -> Run | None:
        """The current run, None before the first start."""
        return self.run(self.rows.current_run_id) if self.rows.current_run_id else None

    def run(self, run_id: str = "") -> Run:
        """Returns a run, from memory if it is there; the current one when it is not named."""
        run_id = run_id or self.rows.current_run_id
        if run_id not in self.rows.runs:
            raise NotFoundError(f"workflow not found for ID: {WORKFLOW_ID}")
        if run_id not in self.runs:
            self.runs[run_id] = self.rows.load(run_id)
        return self.runs[run_id]

    def forget(self) -> None:
        """Drops everything that is only in memory, as a restart does."""
        self.runs.clear()

    def fuse(self, *types: TaskType) -> None:
        """Has tasks of these types started in the step that adds them, from now on."""
        self._fuse = frozenset(types)

    def update(self, run_id: str, act: Callable[[Step, RunStep], T]) -> T:
        """Steps an existing run; one that is not named is the current one."""
        key = self.run(run_id).key.run_id
        return self._step(lambda step: act(step, step.edit(self.run(key))))

    def step(self, act: Callable[[Step], T]) -> T:
        """Steps the workflow id, whether or not it has a run."""
        return self._step(act)

    def _step(self, act: Callable[[Step], T]) -> T:
        step = Step(self._context(), self.current)
        before = self._snapshot()
        try:
            result = act(step)
        except NeedsStartEvent as needed:
            assert self._snapshot() == before, "changed, then needed the start event"
            run = needed.run
            run.start_event = self.rows.history(run.key.run_id)[0]
            return self._step(act)
        except ServiceError:
            assert self._snapshot() == before, "changed, then refused"
            assert not any(change.touched for change in step.runs.values())
            raise
        fused = self._start_fused(step)
        commit = step.finish()
        if commit is None:
            assert self._snapshot() == before, "changed without a commit"
            for run_id, change in step.runs.items():
                self.runs[run_id] = change.run
            return result
        self.rows.apply(commit)
        self.commits.append(commit)
        for run_id, change in step.runs.items():
            self.runs[run_id] = change.run
        self.fused += fused
        return result

    def _snapshot(self) -> dict[str, Any]:
        return {run_id: contents(run) for run_id, run in self.runs.items()}

    def _context(self) -> StepContext:
        return StepContext(
            now=self.now,
            ids=self.ids,
            epoch=1,
            settings=self.settings,
            namespace="default",
            retention=self.retention,
            search_attributes=self.search_attributes,
            find_namespace=find_namespace,
            has_poller=self.sticky_pollers.__contains__,
            tail_budget=1 << 20,
        )

    def _start_fused(self, step: Step) -> list[Taken]:
        return [
            self._start(change, task)
            for change in list(step.runs.values())
            for task in list(change.tasks_added.values())
            if task.key.queue.task_type in self._fuse
        ]

    # Clients

    def start(self, **fields: Any) -> StartResult:
        """Starts the workflow."""
        request = start_request(wf.StartWorkflowExecutionRequest, **fields)
        return self._step(lambda step: start_workflow(step, NAMESPACE_ID, request))

    def signal_with_start(self, **fields: Any) -> StartResult:
        """Signals the workflow, starting it if need be."""
        defaults = {"signal_name": "signal"}
        request = start_request(wf.SignalWithStartWorkflowExecutionRequest, **(defaults | fields))
        return self._step(lambda step: signals.signal_with_start(step, NAMESPACE_ID, request))

    def signal(self, name: str, request_id: str = "", run_id: str = "") -> None:
        """Signals a run."""
        request = wf.SignalWorkflowExecutionRequest(
            workflow_execution=execution(run_id),
            signal_name=name,
            request_id=request_id,
            identity="client",
        )
        self.update(run_id, lambda _, change: signals.signal(change, request))

    def request_cancel(self, run_id: str = "") -> None:
        """Asks a run to cancel itself."""
        request = wf.RequestCancelWorkflowExecutionRequest(reason="enough", identity="client")
        self.update(run_id, lambda _, change: signals.request_cancel(change, request))

    def terminate(self, run_id: str = "") -> None:
        """Ends a run."""

        def act(_: Step, change: RunStep) -> None:
            signals.require_open(change)
            close.terminate(change, close.Termination(reason="over", identity="client"))

        self.update(run_id, act)

    def reset(self, event_id: int, run_id: str = "", **fields: Any) -> str:
        """Begins a run with the events of another before an id; returns the new run's id."""
        request = build(
            wf.ResetWorkflowExecutionRequest,
            workflow_task_finish_event_id=event_id,
            reason="because",
            **fields,
        )
        base = self.run(run_id)
        past = Past(Rebuilt(self.ids.run_id(), self.settings.max_auto_reset_points))
        past.batches = cut(self.rows.runs[base.key.run_id].batches, event_id - 1)
        wanted = of_base(wanted_types(request))
        for event in self.rows.history(base.key.run_id):
            if event.event_id < event_id:
                past.rebuilt.apply(event)
            elif event.event_type in wanted:
                past.later.append(event)
        past.tip = (base.key.run_id, base.state.next_event_id)
        return self._step(lambda step: begin_reset(step, base, past, request).key.run_id)

    # Other workflows

    def receive(self, message: stored.Message) -> stored.Receipt:
        """Has the workflow id take a message in, as often as it comes."""
        known = self.rows.receipts.get(receipt_key(message))
        if known is not None:
            return stored.Receipt.FromString(known.data)

        def act(step: Step) -> stored.Receipt:
            run_id = message.target.run_id
            known_run = run_id in self.rows.runs if run_id else bool(self.rows.current_run_id)
            return receive(step, self.run(run_id) if known_run else None, message)

        return self._step(act)

    def answer(self, row: MessageRow, outcome: Outcome.ValueType) -> None:
        """Tells the sender of a message what it came to."""
        receipt = stored.Receipt(outcome=outcome)
        if stored.Message.FromString(row.data).HasField("child_start"):
            receipt.started_run_id = "child-run" * (outcome == stored.Receipt.OUTCOME_TAKEN)
        self.settle(row, receipt)

    def settle(self, row: MessageRow, receipt: stored.Receipt) -> None:
        """Tells the sender of a message what its receiver has answered."""
        message = stored.Message.FromString(row.data)
        run = self.run(row.run.run_id)
        self._step(lambda step: settle(step, run, row, message, receipt))

    @property
    def outbox(self) -> list[MessageRow]:
        """The messages that are under way, oldest first."""
        return [self.rows.messages[key] for key in sorted(self.rows.messages)]

    # Workflow workers

    def pending(self, task_type: TaskType, queue: str = "") -> list[DispatchTask]:
        """Returns the rows that a poller might get, in dispatch order."""
        rows = (self.rows.tasks[key] for key in sorted(self.rows.tasks))
        return [
            row
            for row in rows
            if row.key.queue.task_type is task_type and queue in ("", row.key.queue.name)
        ]

    def take_workflow_task(self, queue: str = "") -> Taken:
        """Gives the first workflow task to a worker."""
        return self.take(self.pending(TaskType.WORKFLOW, queue)[0])

    def take_activity(self) -> Taken:
        """Gives the first activity task to a worker."""
        return self.take(self.pending(TaskType.ACTIVITY)[0])

    def take(self, task: DispatchTask) -> Taken:
        """Gives a task to a worker."""
        return self.update(task.run.run_id, lambda _, change: self._start(change, task))

    def _start(self, change: RunStep, task: DispatchTask) -> Taken:
        self._polls += 1
        request_id = f"poll-{self._polls}"
        run = change.run
        if task.key.queue.task_type is TaskType.WORKFLOW:
            assert run.state.workflow_task.task_id == task.key.task_id, "the row is stale"
            workflow_task.start(change, request_id=request_id, identity="worker")
            return Taken(task, request_id, workflow_token(run))
        info = run.activities[task.scheduled_event_id]
        assert (info.task_id, info.attempt) == (task.key.task_id, task.attempt), "the row is stale"
        activity.start(info, change, request_id=request_id, identity="worker")
        return Taken(task, request_id, activity_token(run, info))

    def undo_start(self, taken: Taken) -> None:
        """Makes a started task pending again, if it is that start that runs."""

        def act(_: Step, change: RunStep) -> None:
            run, state = change.run, change.state
            if taken.task.key.queue.task_type is TaskType.WORKFLOW:
                if (
                    task_state.is_started(state)
                    and run.is_running
                    and state.workflow_task.request_id == taken.request_id
                ):
                    workflow_task.undo_start(change)
                return
            info = run.activities.get(taken.task.scheduled_event_id)
            if info is not None and info.request_id == taken.request_id:
                activity.undo_start(info, change)

        self.update(taken.task.run.run_id, act)

    def complete(self, taken: Taken, *batch: Command, sticky: bool = False, **fields: Any) -> str:
        """Completes a workflow task; returns what was wrong with a command, or ""."""
        return self.respond(taken, batch, sticky=sticky, **fields).problem

    def respond(
        self, taken: Taken, batch: Sequence[Command], *, sticky: bool = False, **fields: Any
    ) -> Completed:
        """Completes a workflow task."""
        request = build(
            wf.RespondWorkflowTaskCompletedRequest, commands=batch, identity="worker", **fields
        )
        if sticky:
            request.sticky_attributes.worker_task_queue.name = STICKY_QUEUE
            request.sticky_attributes.schedule_to_start_timeout.seconds = 5
        return self.update(
            taken.token.run_id,
            lambda step, change: self._respond(step, change, taken.token, request),
        )

    def _respond(
        self,
        step: Step,
        change: RunStep,
        token: stored.TaskToken,
        request: wf.RespondWorkflowTaskCompletedRequest,
    ) -> Completed:
        if completion.heartbeats_too_long(change, token, request):
            completion.expire_heartbeats(change)
            return Completed("workflow task heartbeat timeout")
        done = completion.complete_task(step, change, token, request)
        if done.problem is not None:
            return Completed(done.problem.text())
        completed = Completed()
        for info in done.eager if change.run.is_running else ():
            row = dispatch_task(change.run, info)
            activity.start(info, change, request_id="eager", identity="worker")
            completed.eager.append(Taken(row, "eager", activity_token(change.run, info)))
        if request.return_new_workflow_task and change.state.HasField("workflow_task"):
            (row,) = (
                task
                for task in change.tasks_added.values()
                if task.key.queue.task_type is TaskType.WORKFLOW
            )
            completed.task = self._start(change, row)
        return completed

    def fail(self, taken: Taken, failure: Failure | None = None) -> None:
        """Fails a workflow task."""
        request = build(
            wf.RespondWorkflowTaskFailedRequest,
            cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR",
            identity="worker",
            failure=failure,
        )
        self.update(
            taken.token.run_id,
            lambda _, change: completion.fail_task(change, taken.token, request),
        )

    # Activity workers: `target` is what the worker holds, or an activity id

    def complete_activity(self, target: Taken | str, result: Payloads | None = None) -> None:
        """Completes an activity."""
        self._answer(target, lambda c, find: outcomes.complete(c, find, result, "worker"))

    def fail_activity(self, target: Taken | str, failure: Failure) -> None:
        """Fails an activity attempt."""
        self._answer(target, lambda c, find: outcomes.fail(c, find, failure, "worker"))

    def cancel_activity(self, target: Taken | str) -> None:
        """Ends an activity as cancelled."""
        self._answer(target, lambda c, find: outcomes.cancel(c, find, None, "worker"))

    def heartbeat(
        self, target: Taken | str, details: Payloads | None = None
    ) -> outcomes.HeartbeatAnswer:
        """Records a heartbeat; returns what has been done to the activity meanwhile."""
        return self._answer(target, lambda c, find: outcomes.heartbeat(c, find, details, "worker"))

    def _answer(self, target: Taken | str, act: Callable[[RunStep, outcomes.Find], T]) -> T:
        if isinstance(target, str):
            run_id, find = "", outcomes.by_id(target)
        else:
            run_id, find = target.token.run_id, outcomes.by_token(target.token)
        return self.update(run_id, lambda _, change: act(change, find))

    # Time

    def advance(self, duration: int) -> None:
        """Lets nanoseconds pass; timer rows fire at their times."""
        end = self.now + duration
        while due := sorted(row for row in self.rows.timers if row.due <= end):
            self.now = max(self.now, due[0].due)
            self.fire(due[0])
        self.now = end

    def skip(self, duration: int) -> None:
        """Lets nanoseconds pass while nothing fires, as when the server is down."""
        self.now += duration

    def fire(self, row: TimerRow) -> None:
        """Does what a timer row asks for."""

        def act(step: Step, change: RunStep) -> None:
            assert change.state.timer_due == row.due, "the row is stale"
            fire_due(step, change)
            step.consume_timer(row, change.run)

        self.update(row.run.run_id, act)


def message_to(
    *,
    id: str = "message",  # noqa: A002 - as the message calls it
    run_id: str = "",
    cancel: bool = False,
    **fields: Any,
) -> stored.Message:
    """Returns a message from another workflow: a signal, or a cancel request."""
    message = stored.Message(
        id=id,
        namespace_id=NAMESPACE_ID,
        target=execution(run_id),
        sender_namespace_id=NAMESPACE_ID,
        sender=WorkflowExecution(workflow_id="sender", run_id="sender-run"),
        initiated_event_id=5,
        **fields,
    )
    if cancel:
        message.cancel_request.reason = "enough"
    else:
        message.signal.name = "signal"
    return message


def result_of(run: Run, info: stored.ChildInfo, kind: str) -> stored.Message:
    """Returns the message by which a child of a run tells how it has ended."""
    first = info.started_run_id or "child-run"
    message = stored.Message(
        id="result",
        namespace_id=NAMESPACE_ID,
        target=run.execution(),
        sender_namespace_id=info.namespace_id,
        sender=WorkflowExecution(workflow_id=info.workflow_id, run_id=first),
        initiated_event_id=info.initiated_event_id,
    )
    message.child.parent_run_id = run.key.run_id
    message.child.initiated_event_id = info.initiated_event_id
    message.child.first_run_id = first
    close_event = message.child_result.close_event
    close_event.event_type = EventType.Value(f"EVENT_TYPE_WORKFLOW_EXECUTION_{kind}")
    return message


def find_namespace(name: str) -> str:
    """Returns the id of a namespace: there are the workflow's own, and another."""
    if name not in NAMESPACES:
        raise NamespaceNotFoundError(name)
    return NAMESPACES[name]


def start_request(kind: type[T], **fields: Any) -> T:
    """Returns a request that starts the workflow, as the frontend passes it on."""
    defaults: dict[str, Any] = {
        "namespace": "default",
        "workflow_id": WORKFLOW_ID,
        "workflow_type": {"name": "Workflow"},
        "task_queue": {"name": QUEUE},
        "workflow_task_timeout": {"seconds": 10},
        "workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_FAIL",
        "workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE",
        "request_id": "start",
        "identity": "client",
    }
    return kind(**(defaults | fields))


def execution(run_id: str) -> WorkflowExecution:
    """Names a run as clients do."""
    return WorkflowExecution(workflow_id=WORKFLOW_ID, run_id=run_id)


def workflow_token(run: Run) -> stored.TaskToken:
    """Returns the token of the workflow task that has just started."""
    task = run.state.workflow_task
    return stored.TaskToken(
        run_id=run.key.run_id, scheduled_event_id=task.scheduled_event_id, nonce=task.nonce
    )


def activity_token(run: Run, info: stored.ActivityInfo) -> stored.TaskToken:
    """Returns the token of an activity attempt that has just started."""
    return stored.TaskToken(
        run_id=run.key.run_id,
        scheduled_event_id=info.scheduled_event_id,
        attempt=info.attempt,
        nonce=info.nonce,
        activity_id=info.activity_id,
    )


def contents(run: Run) -> dict[str, Any]:
    """Returns all that a run says for good, in a form that is compared by value.

    Nothing is ever written of a speculative workflow task, of which worker has the run in its cache
    since one, and of updates that are not accepted.
    """
    state = stored.RunState()
    state.CopyFrom(run.state)
    if run.speculative:
        state.ClearField("workflow_task")
    state.sticky_task_queue, state.sticky_timeout = "", 0
    return {
        "version": run.version,
        "start": run.start.SerializeToString(deterministic=True),
        "state": state.SerializeToString(deterministic=True),
        "updates": {
            update_id: update.accepted_event_id or update.admitted_event_id
            for update_id, update in run.updates.items()
            if update.accepted_event_id or update.admitted_event_id
        },
        "completed updates": dict(run.completed_updates),
        "memo": run.attributes.memo.SerializeToString(deterministic=True),
        "search": run.attributes.search_attributes.SerializeToString(deterministic=True),
        "activities": {
            key: info.SerializeToString(deterministic=True) for key, info in run.activities.items()
        },
        "activity ids": dict(run.activity_ids),
        "timers": {
            key: info.SerializeToString(deterministic=True) for key, info in run.timers.items()
        },
        "external signals": {
            key: info.SerializeToString(deterministic=True)
            for key, info in run.external_signals.items()
        },
        "external cancels": {
            key: info.SerializeToString(deterministic=True)
            for key, info in run.external_cancels.items()
        },
        "children": {
            key: info.SerializeToString(deterministic=True) for key, info in run.children.items()
        },
        "signal requests": set(run.signal_requests),
        "buffered": [
            (key, event.SerializeToString(deterministic=True))
            for key, event in run.buffered.items()
        ],
    }


def activity_of(run: Run, activity_id: str) -> activity_state.ActivityStatus:
    """Returns what an activity is doing; CLOSED if it is not pending."""
    event_id = run.activity_ids.get(activity_id)
    if event_id is None:
        return activity_state.ActivityStatus.CLOSED
    return activity_state.status(run.activities[event_id])
