"""What simulated clients do with one workflow id, and how that must end."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import reset_pb2 as resets
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from simulation import commands
from simulation.invariants import Expectation
from simulation.programs import Carried, Kind, Program, ProgramMaker, encode

REJECT = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
ALLOW = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAILED_ONLY = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
CONFLICT_POLICIES = (
    enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
)

NO_SIGNALS = resets.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
NO_UPDATES = resets.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE
Excluded = resets.ResetReapplyExcludeType
EXCLUSIONS: tuple[tuple[Excluded.ValueType, ...], ...] = (
    (),
    (),
    (NO_SIGNALS,),
    (NO_UPDATES,),
    (NO_SIGNALS, NO_UPDATES),
)
"""What resets do not take over to the new run."""

MOST_STARTS = 10
"""How often a client makes one start request at most, in the time that faults last."""

COMPLETED = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
FAILED = enums.WORKFLOW_EXECUTION_STATUS_FAILED
CANCELED = enums.WORKFLOW_EXECUTION_STATUS_CANCELED
TERMINATED = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
TIMED_OUT = enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT


class Story(StrEnum):
    """What happens to a workflow id."""

    STEADY = "steady"
    """It is started, several times by one request, and runs to its end."""
    SIGNALED = "signaled"
    """It is started by signals."""
    UPDATED = "updated"
    """It is started by updates."""
    DELAYED = "delayed"
    """Its first workflow task waits."""
    CANCELED = "canceled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed out"
    """Its run or chain of runs may take only so long."""
    RETRIED = "retried"
    """It fails, and its retry policy starts it again."""
    CONTENDED = "contended"
    """Several clients start it, with policies of their own."""
    SCHEDULED = "scheduled"
    """It runs again and again by a cron schedule, for as long as its chain may take."""
    REUSED = "reused"
    """When it has ended it is started again, if its policy allows."""
    DELETED = "deleted"
    """It is deleted while it runs, or when it has ended."""
    RESET = "reset"
    """It is reset while it runs, or when it has ended."""


UNDISTURBED = frozenset({Story.STEADY, Story.SIGNALED, Story.UPDATED, Story.DELAYED})
"""The stories in which a workflow does what its program says, once."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """A workflow id's story. Times are virtual seconds.

    Attributes:
        story: Which it is.
        workflow_id: The id.
        program: What its runs do.
        starts: The start requests; each is made by a client of its own.
        begin_at: When the first client comes.
        duplicates: How many clients make each start request.
        signals: The tokens that are sent, each when.
        intervene_at: When it is cancelled or terminated, after its start.
        excluded: What its reset does not take over.
        expectation: How it must end.
    """

    story: Story
    workflow_id: str
    program: Program
    starts: list[wf.StartWorkflowExecutionRequest]
    begin_at: float
    expectation: Expectation
    duplicates: int = 1
    signals: dict[str, float] = field(default_factory=dict)
    intervene_at: float = 0.0
    excluded: tuple[Excluded.ValueType, ...] = ()


class PlanMaker:
    """Draws plans from a generator."""

    def __init__(self, *, generator: random.Random, namespace: str, spread_seconds: float) -> None:
        self._generator = generator
        self._namespace = namespace
        self._spread_seconds = spread_seconds
        self._programs = ProgramMaker(generator)

    def plan(self, number: int) -> Plan:
        """Returns the plan of one workflow id."""
        generator = self._generator
        story = generator.choice((Story.STEADY, Story.SIGNALED, *Story))
        workflow_id = f"w{number}-{story.replace(' ', '-')}"
        if story is not Story.DELETED:
            # What it got and sent is gone with it.
            self._programs.targets.append(workflow_id)
        excluded = generator.choice(EXCLUSIONS) if story is Story.RESET else ()
        program = self._program(story, excluded)
        plan = Plan(
            story=story,
            workflow_id=workflow_id,
            program=program,
            starts=[self._start(workflow_id, program)],
            begin_at=generator.uniform(0.0, self._spread_seconds),
            duplicates=generator.choice((1, 1, 2, 3)),
            signals=self._signals(workflow_id, program, excluded),
            excluded=excluded,
            expectation=Expectation(frozenset({COMPLETED}), program.result),
        )
        self._tell(story, plan)
        return plan

    def _program(self, story: Story, excluded: tuple[Excluded.ValueType, ...]) -> Program:
        generator = self._generator
        length = generator.randint(1, 5)
        # Whoever has seen a run end, or makes it end, sends it no signals to wait for.
        quiet = (Kind.SIGNALS,)
        if story in UNDISTURBED:
            return self._programs.program(length=length)
        match story:
            case Story.CANCELED:
                return self._programs.program(length=length, without=quiet, obeys_cancel=True)
            case Story.RETRIED:
                attempts = generator.randint(1, 3)
                return self._programs.program(
                    length=length, without=quiet, failing_attempts=attempts
                )
            case Story.SCHEDULED:
                # Continue-as-new would leave the schedule.
                return self._programs.program(
                    length=length,
                    without=(Kind.SIGNALS, Kind.CONTINUE),
                    fails=generator.random() < 0.3,
                )
            case Story.REUSED:
                # A start that is made again, for want of an answer, is known by its request id
                # only while the run that it made is the current one.
                return self._programs.program(
                    length=length,
                    without=(Kind.SIGNALS, Kind.CONTINUE),
                    fails=generator.random() < 0.5,
                )
            case Story.DELETED:
                alone = (Kind.SIGNAL_OTHER, Kind.CANCEL_OTHER, Kind.CHILDREN, Kind.CONTINUE)
                return self._programs.program(length=length, without=(*quiet, *alone))
            case Story.RESET:
                # A request that is made again is known only while the run that it made is the
                # current one. A child that is initiated after the point has no parent any more, and
                # must end by itself. Signals that are lost must not be waited for.
                return self._programs.program(
                    length=length,
                    without=(Kind.CONTINUE, *(quiet if NO_SIGNALS in excluded else ())),
                    endless_odds=0.0,
                )
            case _:
                return self._programs.program(length=length, without=quiet)

    def _signals(
        self, workflow_id: str, program: Program, excluded: tuple[Excluded.ValueType, ...]
    ) -> dict[str, float]:
        generator = self._generator
        count = 2 if NO_SIGNALS in excluded else program.signals
        return {
            f"{workflow_id}/{number}": generator.choice((0.0, 0.001, 0.1, 2.0, 10.0))
            for number in range(count)
        }

    def _tell(self, story: Story, plan: Plan) -> None:
        """Fills in what makes the story."""
        match story:
            case Story.CANCELED | Story.TERMINATED:
                self._intervene(plan, CANCELED if story is Story.CANCELED else TERMINATED)
            case Story.UPDATED:
                use = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
                plan.starts[0].workflow_id_conflict_policy = use
            case Story.DELAYED:
                delay = commands.duration(self._generator.choice((0.5, 5.0, 20.0)))
                plan.starts[0].workflow_start_delay.CopyFrom(delay)
            case Story.DELETED:
                # A start that is late is not known again when its run is gone.
                plan.intervene_at = self._generator.choice((0.0, 0.5, 5.0, 30.0))
                plan.expectation = _expect(plan.program, COMPLETED, chains=range(MOST_STARTS))
            case Story.RESET:
                # The run that was open ends as terminated.
                plan.expectation = _expect(plan.program, COMPLETED, TERMINATED, chains=(2,))
            case _ if story in _TELL:
                _TELL[story](self, plan)
            case _:
                pass

    def _intervene(self, plan: Plan, status: int) -> None:
        plan.intervene_at = self._generator.choice((0.0, 0.01, 0.5, 3.0, 15.0))
        plan.expectation = _expect(plan.program, COMPLETED, status)

    def _limit(self, plan: Plan) -> None:
        limit = commands.duration(self._generator.choice((1.0, 8.0, 30.0)))
        request = plan.starts[0]
        if self._generator.random() < 0.5:
            request.workflow_run_timeout.CopyFrom(limit)
        else:
            request.workflow_execution_timeout.CopyFrom(limit)
        # The end of the run cuts its activities' timeouts, so that they may fail just before it.
        plan.expectation = Expectation(frozenset({COMPLETED, TIMED_OUT}), None)

    def _retry(self, plan: Plan) -> None:
        most = self._generator.choice((0, 2))
        policy = plan.starts[0].retry_policy
        policy.initial_interval.CopyFrom(commands.duration(0.2))
        policy.backoff_coefficient = 2.0
        policy.maximum_attempts = most
        gives_up = 0 < most <= plan.program.failing_attempts
        plan.expectation = _expect(plan.program, FAILED if gives_up else COMPLETED)

    def _schedule(self, plan: Plan) -> None:
        request = plan.starts[0]
        request.cron_schedule = self._generator.choice(("@every 1s", "@every 7s"))
        request.workflow_execution_timeout.CopyFrom(commands.duration(20.0))
        plan.expectation = Expectation(frozenset({TIMED_OUT}), None)

    def _contend(self, plan: Plan) -> None:
        count = self._generator.randint(2, 3)
        plan.duplicates = 1
        plan.starts = [self._start(plan.workflow_id, plan.program) for _ in range(count)]
        for request in plan.starts:
            request.workflow_id_reuse_policy = self._generator.choice((ALLOW, REJECT))
            # The server refuses to terminate for a start that rejects duplicates.
            allowed = 2 if request.workflow_id_reuse_policy == REJECT else 3
            policy = self._generator.choice(CONFLICT_POLICIES[:allowed])
            request.workflow_id_conflict_policy = policy
        # A start whose answer was lost is made again, and again; each time another one may have
        # replaced its run meanwhile, and is replaced in turn.
        chains = range(1, MOST_STARTS * count)
        plan.expectation = _expect(plan.program, COMPLETED, TERMINATED, chains=chains)

    def _reuse(self, plan: Plan) -> None:
        plan.duplicates = 1
        second = self._start(plan.workflow_id, plan.program)
        second.workflow_id_reuse_policy = self._generator.choice((ALLOW, REJECT, FAILED_ONLY))
        plan.starts.append(second)
        status = FAILED if plan.program.fails else COMPLETED
        refused = second.workflow_id_reuse_policy == REJECT or (
            second.workflow_id_reuse_policy == FAILED_ONLY and status == COMPLETED
        )
        plan.expectation = _expect(plan.program, status, chains=(1,) if refused else (2,))

    def _start(self, workflow_id: str, program: Program) -> wf.StartWorkflowExecutionRequest:
        return wf.StartWorkflowExecutionRequest(
            namespace=self._namespace,
            workflow_id=workflow_id,
            workflow_type=common.WorkflowType(name=commands.WORKFLOW_TYPE),
            task_queue=taskqueue.TaskQueue(name=commands.TASK_QUEUE),
            input=commands.raw_payloads(encode(program, Carried())),
            workflow_task_timeout=commands.duration(10.0),
            identity="client",
            request_id=f"{self._generator.getrandbits(64):016x}",
            workflow_id_reuse_policy=REJECT,
        )


def _expect(program: Program, *statuses: int, **more: Any) -> Expectation:
    if "chains" in more:
        more["chains"] = frozenset(more["chains"])
    return Expectation(frozenset(statuses), program.result, **more)


_TELL: dict[Story, Callable[[PlanMaker, Plan], None]] = {
    Story.TIMED_OUT: PlanMaker._limit,
    Story.RETRIED: PlanMaker._retry,
    Story.SCHEDULED: PlanMaker._schedule,
    Story.CONTENDED: PlanMaker._contend,
    Story.REUSED: PlanMaker._reuse,
}
