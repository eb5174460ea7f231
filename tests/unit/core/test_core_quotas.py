"""Which requests a limit lets through."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.quotas import PriorityLimit

CLASSES = 3


def taken(limit: PriorityLimit, priority: int, now: float, requests: int) -> int:
    """Returns how many of so many requests go through at one moment."""
    through = 0
    for _ in range(requests):
        if limit.admits(priority, now):
            limit.count(priority, now)
            through += 1
    return through


def test_a_burst_goes_through_and_then_the_rate() -> None:
    limit = PriorityLimit(rate=5.0, burst_ratio=2.0, classes=CLASSES)
    assert taken(limit, 0, 100.0, 40) == 10
    assert taken(limit, 0, 101.0, 40) == 5
    assert taken(limit, 0, 200.0, 40) == 10


def test_important_requests_leave_less_to_the_others() -> None:
    limit = PriorityLimit(rate=5.0, burst_ratio=2.0, classes=CLASSES)
    assert taken(limit, 1, 100.0, 7) == 7
    assert taken(limit, 2, 100.0, 40) == 3
    assert taken(limit, 1, 100.0, 40) == 3
    assert taken(limit, 0, 100.0, 40) == 10


def test_without_a_rate_everything_goes_through() -> None:
    limit = PriorityLimit(rate=0.0, burst_ratio=2.0, classes=CLASSES)
    assert taken(limit, 2, 100.0, 1000) == 1000


def test_another_rate_counts_at_once() -> None:
    limit = PriorityLimit(rate=0.0, burst_ratio=1.0, classes=CLASSES)
    limit.change(rate=2.0, burst_ratio=1.0)
    assert taken(limit, 0, 100.0, 40) == 2
    limit.change(rate=0.0, burst_ratio=1.0)
    assert taken(limit, 0, 100.0, 40) == 40


@given(
    steps=st.lists(
        st.tuples(st.integers(0, CLASSES - 1), st.floats(0.0, 2.0)), min_size=1, max_size=200
    ),
    rate=st.floats(0.5, 50.0),
    burst_ratio=st.floats(1.0, 3.0),
)
def test_no_class_and_no_sum_exceeds_rate_and_burst(
    steps: list[tuple[int, float]], rate: float, burst_ratio: float
) -> None:
    limit = PriorityLimit(rate=rate, burst_ratio=burst_ratio, classes=CLASSES)
    now, began, through = 10.0, 10.0, [0] * CLASSES
    for priority, pause in steps:
        now += pause
        through[priority] += taken(limit, priority, now, 3)
    most = rate * (now - began + burst_ratio) + 1.001
    for priority in range(CLASSES):
        assert through[priority] <= most
    # The least important class got only what all the others had left.
    if through[-1]:
        assert sum(through) <= most * CLASSES
