"""What is left out of many like lines, on a clock of the test's own."""

from perdure.telemetry.log_limits import RepeatLimiter


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def limiter(time: Time) -> RepeatLimiter:
    return RepeatLimiter(time, burst=2, window_seconds=10.0, most_kinds=3)


def test_a_few_are_admitted_and_the_rest_told_when_it_resumes() -> None:
    time = Time()
    limit = limiter(time)
    assert [limit.admit("a", "broke") for _ in range(5)] == [0, 0, None, None, None]
    time.seconds = 9.9
    assert limit.admit("a", "broke") is None
    time.seconds = 10.0
    assert [limit.admit("a", "broke") for _ in range(3)] == [4, 0, None]
    time.seconds = 20.0
    assert limit.admit("a", "broke") == 1


def test_kinds_do_not_hinder_each_other() -> None:
    limit = limiter(Time())
    assert [limit.admit("a", "broke") for _ in range(3)] == [0, 0, None]
    assert limit.admit("b", "broke") == 0
    assert limit.admit("a", "broke again") == 0


def test_memory_is_bounded() -> None:
    limit = limiter(Time())
    for _ in range(3):
        limit.admit("busy")
    for number in range(1_000):
        limit.admit(str(number))
        assert limit.admit("busy") is None, "what goes on is not forgotten"
        assert len(limit) <= 3
