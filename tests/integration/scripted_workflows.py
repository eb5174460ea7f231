"""What the scripted load runs: workflows that are done, fail, wait, talk, and go on anew."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError
from temporalio.workflow import ActivityCancellationType

QUEUE = "scripted"
NARROW_QUEUE = "scripted-narrow"
"""Its worker runs one activity at a time, so that others wait."""
UNPOLLED_QUEUE = "scripted-unpolled"
DESERTED_QUEUE = "scripted-deserted"
"""Nothing is ever sent there."""
LIMIT = timedelta(seconds=30)
SHORT = timedelta(seconds=0.3)
_HEARTBEAT = timedelta(seconds=0.5)
_ONCE = RetryPolicy(maximum_attempts=1)
_SOON = RetryPolicy(initial_interval=timedelta(seconds=0.05))


@activity.defn
async def work() -> str:
    return "done"


@activity.defn
async def toil() -> None:
    await asyncio.sleep(0.05)


@activity.defn
async def stumble() -> None:
    if activity.info().attempt == 1:
        raise ApplicationError("the first attempt fails")


@activity.defn
async def fail() -> None:
    raise ApplicationError("it fails for good", non_retryable=True)


@activity.defn
async def fall_silent() -> None:
    await asyncio.sleep(3 * SHORT.total_seconds())


@activity.defn
async def linger() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.1)


@workflow.defn
class Quick:
    """A timer and an activity."""

    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.01)
        return await workflow.execute_activity(work, start_to_close_timeout=LIMIT)


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("it fails for good")


@workflow.defn
class Waits:
    """Waits until it is ended."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def nudge(self) -> None:
        """Changes nothing."""


@workflow.defn
class GoesOn:
    """Continues as a new run, once."""

    @workflow.run
    async def run(self, again: bool) -> None:
        if again:
            workflow.continue_as_new(False)


@workflow.defn
class Talks:
    """Is signalled, queried, updated, and told to end."""

    def __init__(self) -> None:
        self._total = 0
        self._finished = False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self._finished)
        return self._total

    @workflow.signal
    def finish(self) -> None:
        self._finished = True

    @workflow.query
    def total(self) -> int:
        return self._total

    @workflow.update
    def add(self, number: int) -> int:
        self._total += number
        return self._total

    @add.validator
    def check(self, number: int) -> None:
        if number < 0:
            raise ValueError("it only adds")


@workflow.defn
class Troubles:
    """Activities that fail, are tried again, time out in every way, and are cancelled."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(stumble, start_to_close_timeout=LIMIT, retry_policy=_SOON)
        lingering = workflow.start_activity(
            linger,
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_ONCE,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await asyncio.gather(
            workflow.execute_activity(fail, start_to_close_timeout=LIMIT),
            workflow.execute_activity(
                fall_silent, start_to_close_timeout=SHORT, retry_policy=_ONCE
            ),
            workflow.execute_activity(
                fall_silent,
                start_to_close_timeout=LIMIT,
                heartbeat_timeout=SHORT,
                retry_policy=_ONCE,
            ),
            workflow.execute_activity(
                work,
                schedule_to_start_timeout=SHORT,
                schedule_to_close_timeout=LIMIT,
                task_queue=UNPOLLED_QUEUE,
            ),
            return_exceptions=True,
        )
        lingering.cancel()
        with suppress(ActivityError):
            await lingering


@workflow.defn
class Crowd:
    """More activities at once than the worker of their queue takes."""

    @workflow.run
    async def run(self) -> None:
        await asyncio.gather(
            *(
                workflow.execute_activity(
                    toil, task_queue=NARROW_QUEUE, start_to_close_timeout=LIMIT
                )
                for _ in range(4)
            )
        )


@workflow.defn
class Family:
    """Children that are done, fail, and are signalled and cancelled; and a stranger."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_child_workflow(Quick.run)
        with suppress(ChildWorkflowError):
            await workflow.execute_child_workflow(Fails.run)
        waiting = await workflow.start_child_workflow(Waits.run)
        await waiting.signal(Waits.nudge)
        await workflow.get_external_workflow_handle(waiting.id).cancel()
        with suppress(ChildWorkflowError):
            await waiting
        with suppress(ApplicationError):
            await workflow.get_external_workflow_handle("a stranger").signal("nudge")


WORKFLOWS = (Quick, Fails, Waits, GoesOn, Talks, Troubles, Crowd, Family)
ACTIVITIES = (work, toil, stumble, fail, fall_silent, linger)
