"""Settings: conversion, unknown keys, what counts as changed."""

from collections.abc import Iterator

import pytest

from perdure.config.convert import at_least, boolean, integer, nanoseconds, number, seconds, text
from perdure.config.errors import ConfigError
from perdure.config.settings import SETTINGS, Setting, declare, parse_assignments, resolve


@pytest.fixture
def poll() -> Iterator[Setting[int]]:
    setting = declare(
        "test.longPollInterval", nanoseconds, default=60_000_000_000, unit="ns", text="A poll."
    )
    yield setting
    del SETTINGS[setting.key.lower()]


def test_a_given_value_is_converted_once(poll: Setting[int]) -> None:
    values, problems = resolve({"TEST.longpollinterval": "1m30s"})
    assert problems == []
    assert values.get(poll) == 90_000_000_000
    assert values.changed() == {"test.longPollInterval": 90_000_000_000}


def test_without_a_value_the_default_holds(poll: Setting[int]) -> None:
    values, problems = resolve({})
    assert (values.get(poll), values.changed(), problems) == (60_000_000_000, {}, [])


def test_a_value_at_the_default_is_no_change(poll: Setting[int]) -> None:
    values, _ = resolve({poll.key: 60})
    assert values.changed() == {}


@pytest.mark.usefixtures("poll")
def test_an_unknown_key_names_the_nearest_one() -> None:
    _, (problem,) = resolve({"test.longPolInterval": 3})
    assert problem.sentence == (
        'setting "test.longPolInterval" has no effect here (did you mean "test.longPollInterval"?)'
    )


def test_a_value_of_another_type_leaves_the_default(poll: Setting[int]) -> None:
    values, (problem,) = resolve({poll.key: ["a"]})
    assert values.get(poll) == poll.default
    assert problem.sentence == (
        'setting "test.longPollInterval" wants a duration such as "10s" or a number of seconds,'
        ' not ["a"]'
    )


def test_a_key_is_declared_once(poll: Setting[int]) -> None:
    with pytest.raises(ValueError, match="declared twice"):
        declare(poll.key.upper(), integer, default=1, unit="", text="")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10", 10_000_000_000),
        ("500ms", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1h2m3s", 3_723_000_000_000),
        ("2d", 172_800_000_000_000),
        (0.25, 250_000_000),
        (3, 3_000_000_000),
    ],
)
def test_durations(written: object, expected: int) -> None:
    assert nanoseconds(written) == expected
    assert seconds(written) == expected / 1e9


@pytest.mark.parametrize(
    ("convert", "bad"),
    [
        (nanoseconds, "soon"),
        (nanoseconds, -1),
        (nanoseconds, True),
        (integer, 1.5),
        (integer, True),
        (integer, "1"),
        (number, "1"),
        (boolean, 1),
        (text, 1),
        (at_least(1), 0),
    ],
)
def test_converters_refuse_other_types(convert: object, bad: object) -> None:
    assert callable(convert)
    with pytest.raises(ValueError, match="wants"):
        convert(bad)


def test_assignments_are_json() -> None:
    given = parse_assignments(["a=1", 'b="x=y"', "a=[true]"])
    assert given == {"a": [True], "b": "x=y"}


@pytest.mark.parametrize("bad", ["a", "=1", "a=abc"])
def test_bad_assignments_are_named(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"KEY=JSON|invalid JSON"):
        parse_assignments([bad])
