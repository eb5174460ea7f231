"""Retries: which errors, how often, how long between them."""

import random

import pytest

from perdure.runtime.deterministic import ManualClock, SeededIds
from perdure.runtime.retry import Backoff, retry

QUICK = Backoff(initial_seconds=1e-6, maximum_seconds=1e-5, attempts=4)


class Flaky:
    """Fails a number of times, then succeeds."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError(f"failure {self.calls}")
        return "done"


@pytest.fixture
def ids() -> SeededIds:
    return SeededIds(generator=random.Random(3), clock=ManualClock())


async def test_it_tries_until_it_succeeds(ids: SeededIds) -> None:
    seen = []
    result = await retry(
        Flaky(2),
        backoff=QUICK,
        ids=ids,
        retryable=(ConnectionError,),
        on_retry=lambda attempt, error: seen.append((attempt, str(error))),
    )
    assert result == "done"
    assert seen == [(1, "failure 1"), (2, "failure 2")]


async def test_the_last_error_is_raised_when_attempts_run_out(ids: SeededIds) -> None:
    call = Flaky(9)
    with pytest.raises(ConnectionError, match="failure 4"):
        await retry(call, backoff=QUICK, ids=ids, retryable=(ConnectionError,))
    assert call.calls == 4


async def test_other_errors_are_raised_at_once(ids: SeededIds) -> None:
    call = Flaky(1)
    with pytest.raises(ConnectionError):
        await retry(call, backoff=QUICK, ids=ids, retryable=(KeyError,))
    assert call.calls == 1


async def test_no_attempt_begins_after_the_total_time(ids: SeededIds) -> None:
    backoff = Backoff(initial_seconds=60, maximum_seconds=60, total_seconds=20)
    call = Flaky(9)
    with pytest.raises(ConnectionError, match="failure 1"):
        await retry(call, backoff=backoff, ids=ids, retryable=(ConnectionError,))
    assert call.calls == 1


def test_pauses_grow_to_the_maximum_with_jitter(ids: SeededIds) -> None:
    backoff = Backoff(initial_seconds=1, factor=2, maximum_seconds=10, attempts=9)
    for attempt, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (5_000, 10)]:
        pauses = {backoff.pause_seconds(attempt, ids) for _ in range(50)}
        assert len(pauses) == 50
        assert longest / 2 <= min(pauses)
        assert max(pauses) <= longest


def test_an_unbounded_retry_is_refused() -> None:
    with pytest.raises(AssertionError, match="bounded"):
        Backoff()
