"""Workflows whose every RPC, command and ending is known beforehand."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

_SOON = timedelta(seconds=30)
_SHORT = timedelta(milliseconds=10)
_ONCE = RetryPolicy(maximum_attempts=1)


@activity.defn
async def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


@activity.defn
async def fail_once() -> int:
    """Fails at its first attempt."""
    attempt = activity.info().attempt
    if attempt == 1:
        raise ApplicationError("the first attempt", type="Oops")
    return attempt


@activity.defn
async def fail_for_good() -> None:
    """Fails, and is not tried again."""
    raise ApplicationError("for good", type="Fatal", non_retryable=True)


@activity.defn
async def never_answers() -> None:
    """Is completed by nobody."""
    activity.raise_complete_async()


@workflow.defn
class Greets:
    """One activity."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Greets by an activity."""
        return await workflow.execute_activity(greet, name, start_to_close_timeout=_SOON)


@workflow.defn
class Sleeps:
    """One timer."""

    @workflow.run
    async def run(self) -> None:
        """Sleeps."""
        await asyncio.sleep(0.01)


@workflow.defn
class Waits:
    """Waits for a signal, and answers queries and updates until it comes."""

    def __init__(self) -> None:
        self._go = False
        self._updates = 0

    @workflow.run
    async def run(self) -> int:
        """Waits."""
        await workflow.wait_condition(lambda: self._go)
        return self._updates

    @workflow.signal
    async def go(self) -> None:
        """Ends it."""
        self._go = True

    @workflow.query
    def updates(self) -> int:
        """Returns how many updates there were."""
        return self._updates

    @workflow.update
    async def update(self) -> int:
        """Counts."""
        self._updates += 1
        return self._updates


@workflow.defn
class Retries:
    """An activity that fails once."""

    @workflow.run
    async def run(self) -> int:
        """Tries again."""
        return await workflow.execute_activity(
            fail_once,
            start_to_close_timeout=_SOON,
            retry_policy=RetryPolicy(initial_interval=_SHORT),
        )


@workflow.defn
class Fails:
    """An activity that fails for good, and with it its workflow."""

    @workflow.run
    async def run(self) -> None:
        """Fails."""
        await workflow.execute_activity(fail_for_good, start_to_close_timeout=_SOON)


@workflow.defn
class TimesOut:
    """An activity that nobody completes in time, and with it its workflow."""

    @workflow.run
    async def run(self) -> None:
        """Fails."""
        await workflow.execute_activity(
            never_answers, start_to_close_timeout=timedelta(milliseconds=200), retry_policy=_ONCE
        )


@workflow.defn
class Continues:
    """Goes on as a new run until there is nothing left."""

    @workflow.run
    async def run(self, left: int) -> None:
        """Goes on."""
        if left:
            workflow.continue_as_new(left - 1)


@workflow.defn
class Parent:
    """A child that greets."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Has its child greet."""
        return await workflow.execute_child_workflow(
            Greets.run, name, id=f"{workflow.info().workflow_id}-child"
        )


WORKFLOWS = [Greets, Sleeps, Waits, Retries, Fails, TimesOut, Continues, Parent]
ACTIVITIES: list[Callable[..., Any]] = [greet, fail_once, fail_for_good, never_answers]
