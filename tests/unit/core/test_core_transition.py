"""Transitions: where they may start, where they must end, and that a refusal changes nothing."""

from dataclasses import dataclass
from enum import Enum, auto

import pytest

from perdure.core.activity import transitions as activity
from perdure.core.transition import InvalidTransitionError, Transition, transition
from perdure.core.workflow import close
from perdure.core.workflow_task import transitions as workflow_task
from unit.core.driver import Driver


class Light(Enum):
    RED = auto()
    GREEN = auto()
    BROKEN = auto()


@dataclass
class Lamp:
    light: Light = Light.RED
    switched: int = 0


def light_of(lamp: Lamp) -> Light:
    return lamp.light


@transition(light_of, sources={Light.RED}, target={Light.GREEN})
def go(lamp: Lamp, to: Light, *, times: int = 1) -> int:
    lamp.light = to
    lamp.switched += times
    return lamp.switched


def test_transition_applies_and_returns() -> None:
    lamp = Lamp()
    assert go(lamp, Light.GREEN, times=3) == 3
    assert lamp.light is Light.GREEN


def test_transition_refuses_another_source() -> None:
    lamp = Lamp(Light.GREEN)
    with pytest.raises(InvalidTransitionError, match="go cannot start from GREEN"):
        go(lamp, Light.GREEN)
    assert lamp == Lamp(Light.GREEN)


def test_transition_must_end_where_it_says() -> None:
    with pytest.raises(AssertionError, match="go ended in BROKEN"):
        go(Lamp(), Light.BROKEN)


def test_transition_says_what_it_is() -> None:
    assert isinstance(go, Transition)
    assert go.name == "go"
    assert go.sources == frozenset({Light.RED})
    assert go.target == frozenset({Light.GREEN})


TRANSITIONS = {
    f"{module.__name__}.{name}": value
    for module in (activity, workflow_task, close)
    for name, value in vars(module).items()
    if isinstance(value, Transition)
}


@pytest.mark.parametrize("name", TRANSITIONS)
def test_engine_transitions_are_named_as_they_are_called(name: str) -> None:
    assert name.endswith(f".{TRANSITIONS[name].name}")
    assert TRANSITIONS[name].sources
    assert TRANSITIONS[name].target


def test_there_are_transitions() -> None:
    assert {"schedule", "start", "complete", "fail", "time_out", "expire_sticky", "undo_start"} <= {
        value.name for value in TRANSITIONS.values()
    }


def test_workflow_task_starts_once() -> None:
    driver = Driver()
    driver.start()
    driver.take_workflow_task()
    with pytest.raises(InvalidTransitionError, match="start cannot start from STARTED"):
        driver.update(
            "", lambda _, change: workflow_task.start(change, request_id="r", identity="w")
        )


def test_closed_run_closes_no_more() -> None:
    driver = Driver()
    driver.start()
    driver.terminate()
    end = close.Termination(reason="again", identity="client")
    with pytest.raises(InvalidTransitionError, match="terminate cannot start from CLOSED"):
        driver.update("", lambda _, change: close.terminate(change, end))
