"""Workflows and activities that the SDK scenarios and integration tests run."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError, is_cancelled_exception

KEYWORD = SearchAttributeKey.for_keyword("ConformanceKeyword")
_SOON = timedelta(seconds=10)
_QUICK = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0)


@activity.defn
async def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


@activity.defn
async def fail_at_first() -> int:
    """Fails twice and returns the number of the attempt that succeeds."""
    attempt = activity.info().attempt
    if attempt < 3:
        raise ApplicationError(f"attempt {attempt}", type="Oops")
    return attempt


@activity.defn
async def fail_for_good() -> None:
    """Fails without retries."""
    raise ApplicationError("for good", "detail", type="Fatal", non_retryable=True)


@activity.defn
async def wait_for_cancel() -> str:
    """Heartbeats until it is cancelled, then confirms."""
    try:
        while True:
            activity.heartbeat("alive")
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        activity.heartbeat("cancelled")
        raise


@activity.defn
async def complete_elsewhere() -> str:
    """Is completed by someone else."""
    activity.raise_complete_async()


@workflow.defn
class Hello:
    """One activity."""

    @workflow.run
    async def run(self, name: str) -> str:
        """Greets by an activity."""
        return await workflow.execute_activity(greet, name, start_to_close_timeout=_SOON)


@workflow.defn
class Medium:
    """A bit of everything that a workflow does, one thing after the other."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._stage = "new"

    @workflow.run
    async def run(self, name: str) -> list[str]:
        """Runs through all stages; the signal `finish` ends the last."""
        self._words.append(
            await workflow.execute_activity(
                greet, name, start_to_close_timeout=_SOON, summary="greeting"
            )
        )
        retried = await workflow.execute_activity(
            fail_at_first, start_to_close_timeout=_SOON, retry_policy=_QUICK
        )
        self._words.append(f"attempt {retried}")
        await workflow.sleep(timedelta(milliseconds=50), summary="nap")
        if workflow.patched("louder"):
            self._words.append("LOUD")
        local = await workflow.execute_local_activity(greet, "local", start_to_close_timeout=_SOON)
        self._words.append(local)
        workflow.upsert_memo({"stage": "waiting"})
        workflow.upsert_search_attributes([KEYWORD.value_set("waiting")])
        self._stage = "waiting"
        await workflow.wait_condition(lambda: self._stage == "finished")
        return self._words

    @workflow.signal
    async def finish(self, word: str) -> None:
        """Ends the workflow."""
        self._words.append(word)
        self._stage = "finished"

    @workflow.query
    def stage(self) -> str:
        """Returns where the workflow is."""
        return self._stage


@workflow.defn
class Cancels:
    """Cancels an activity in one of the three ways."""

    @workflow.run
    async def run(self, kind: int) -> str:
        """Starts the activity, cancels it on a signal, tells how that ended."""
        handle = workflow.start_activity(
            wait_for_cancel,
            start_to_close_timeout=_SOON,
            heartbeat_timeout=timedelta(seconds=5),
            cancellation_type=workflow.ActivityCancellationType(kind),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        await workflow.wait_condition(lambda: self._cancel)
        handle.cancel()
        try:
            await handle
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
            return "cancelled"
        return "not cancelled"

    def __init__(self) -> None:
        self._cancel = False

    @workflow.signal
    def cancel(self) -> None:
        """Cancels the activity."""
        self._cancel = True


@workflow.defn
class Fails:
    """Fails because its activity does."""

    @workflow.run
    async def run(self) -> None:
        """Runs an activity that fails for good."""
        await workflow.execute_activity(fail_for_good, start_to_close_timeout=_SOON)


@workflow.defn
class Waits:
    """Does nothing until it is told to."""

    def __init__(self) -> None:
        self._done = False

    @workflow.run
    async def run(self) -> str:
        """Waits for the signal `done`."""
        await workflow.wait_condition(lambda: self._done)
        return "done"

    @workflow.signal
    def done(self) -> None:
        """Lets the workflow end."""
        self._done = True

    @workflow.query
    def fails(self) -> None:
        """Always fails."""
        raise ApplicationError("no answer")


@workflow.defn
class Ledger:
    """Keeps a sum that updates change."""

    def __init__(self) -> None:
        self._sum = 0
        self._done = False
        self._continues = False

    @workflow.run
    async def run(self, first: int) -> int:
        """Waits for the signal `done`, or continues as new from ten times its sum."""
        self._sum += first
        await workflow.wait_condition(lambda: self._done or self._continues)
        if self._continues:
            workflow.continue_as_new(self._sum * 10)
        return self._sum

    @workflow.signal
    def done(self) -> None:
        """Lets the workflow end."""
        self._done = True

    @workflow.signal
    def continue_as_new(self) -> None:
        """Lets the workflow continue as new."""
        self._continues = True

    @workflow.update
    def add(self, amount: int) -> int:
        """Adds at once; returns the sum."""
        self._sum += amount
        return self._sum

    @add.validator
    def refuse_less_than_one(self, amount: int) -> None:
        """Refuses what would not raise the sum."""
        if amount < 1:
            raise ApplicationError(f"{amount} is less than 1", type="TooSmall")

    @workflow.update
    async def add_greeting(self, name: str) -> str:
        """Adds the length of a greeting, which an activity makes; returns the greeting."""
        text = await workflow.execute_activity(
            greet, name, start_to_close_timeout=timedelta(seconds=10)
        )
        self._sum += len(text)
        return text

    @workflow.update
    async def fail(self, text: str) -> None:
        """Fails after it was accepted."""
        await workflow.sleep(timedelta(milliseconds=10))
        raise ApplicationError(text, type="Refused")

    @workflow.update(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def wait_for_end(self) -> str:
        """Is never completed."""
        await workflow.wait_condition(lambda: False)
        return ""


@workflow.defn
class Counts:
    """Continues as new until a number is zero."""

    @workflow.run
    async def run(self, left: int) -> str:
        """Counts down, one run for each number."""
        if left:
            workflow.continue_as_new(left - 1)
        return "zero"


@workflow.defn
class Elsewhere:
    """Its activity is completed by someone else."""

    @workflow.run
    async def run(self) -> str:
        """Returns what the activity was completed with."""
        return await workflow.execute_activity(
            complete_elsewhere, activity_id="elsewhere", start_to_close_timeout=_SOON
        )


@workflow.defn(name="Changed")
class ChangedBefore:
    """A workflow before its code was changed without care."""

    @workflow.run
    async def run(self) -> str:
        """Waits a minute."""
        await workflow.sleep(60)
        return "before"


@workflow.defn(name="Changed")
class ChangedAfter:
    """The same workflow after the change."""

    @workflow.run
    async def run(self) -> str:
        """Greets instead of waiting."""
        return await workflow.execute_activity(greet, "after", start_to_close_timeout=_SOON)


WORKFLOWS = [Hello, Medium, Cancels, Fails, Waits, Ledger, Counts, Elsewhere]
ACTIVITIES: list[Callable[..., Any]] = [
    greet,
    fail_at_first,
    fail_for_good,
    wait_for_cancel,
    complete_elsewhere,
]
