"""The statistics, on numbers small enough to check by eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import percentile, ratio, spread


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(1, 10.0), (20, 10.0), (21, 20.0), (50, 30.0), (99, 50.0), (100, 50.0)],
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([50.0, 10.0, 40.0, 20.0, 30.0], percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_so_many_percent_do_not_exceed_the_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    below = sum(value <= found for value in values)
    assert found in values
    assert below * 100 >= percent * len(values) * (1 - 1e-9)


def test_percentile_refuses_no_values() -> None:
    with pytest.raises(AssertionError, match="needs a value"):
        percentile([], 50)


def test_spread_is_relative_to_the_mean() -> None:
    assert spread([9.0, 11.0]) == pytest.approx(0.2)
    assert spread([5.0]) == 0.0
    assert spread([0.0, 0.0]) == 0.0


def test_ratio_to_what_was_too_small_is_unknown() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(3.0, 0.0) is None
