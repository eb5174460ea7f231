"""The programs that simulated workflows run: a list of steps, with a result known beforehand.

Theory of operation: a program travels as JSON in the workflow's input, so any worker can run it
from history alone. What a run hands to the next (continue-as-new) travels with it as `Carried`.
Every activity says what each of its attempts will do; so the program's result does not depend on
faults, which only add attempts. Where it would (attempts are bounded), the result leaves it open.
"""

import json
import random
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a step does."""

    ACTIVITIES = "activities"
    """Schedules all of the step's activities, and waits for all of them."""
    TIMER = "timer"
    """Waits for a number of seconds."""
    RACE = "race"
    """Runs an activity against a timer, and cancels the loser."""
    SIGNALS = "signals"
    """Waits until a number of signals has come, over the whole chain of runs."""
    HEARTBEAT = "heartbeat"
    """Asks for a number of new workflow tasks, as long local activities do."""
    MARKER = "marker"
    """Records a marker and changes the memo."""
    CONTINUE = "continue"
    """Continues as a new run with the steps that are left."""
    SIGNAL_OTHER = "signal other"
    """Signals another workflow, and waits until it is told what came of it."""
    CANCEL_OTHER = "cancel other"
    """Asks another workflow to cancel itself, and waits likewise."""
    CHILDREN = "children"
    """Starts children, and waits until they have started; for some of them, until they end."""


class Behaviour(StrEnum):
    """What an attempt of an activity does."""

    SUCCEED = "succeed"
    FAIL = "fail"
    FAIL_FOR_GOOD = "fail for good"
    """Fails with an error that must not be retried."""
    VANISH = "vanish"
    """Is never heard of again: only a timeout ends it."""
    OVERRUN = "overrun"
    """Reports success after its time is up."""
    BEAT = "beat"
    """Works for longer than the heartbeat timeout, with heartbeats, then succeeds."""
    COMPLETE_BY_ID = "complete by id"
    """Succeeds, but reports by the activity's id instead of the task token."""


FINAL = (Behaviour.SUCCEED, Behaviour.BEAT, Behaviour.COMPLETE_BY_ID, Behaviour.FAIL_FOR_GOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """An activity. Durations are seconds.

    Attributes:
        name: Its activity id, unique in the program.
        behaviours: What each attempt does; the last one is repeated.
        attempts: How many there may be; 0 means any number.
        start_to_close: How long an attempt may take.
        heartbeat: How long it may be silent; 0 means for as long as it takes.
        backoff: The pause before the second attempt.
    """

    name: str
    behaviours: tuple[Behaviour, ...]
    attempts: int = 0
    start_to_close: float = 5.0
    heartbeat: float = 0.0
    backoff: float = 0.1

    def behaviour(self, attempt: int) -> Behaviour:
        """Returns what an attempt (from 1) does."""
        return self.behaviours[min(attempt, len(self.behaviours)) - 1]

    def outcome(self, succeeded: bool | None = None) -> str:
        """Returns what it adds to the result; without an argument, what it is going to add.

        When attempts are few, the faults decide how it ends; also when a late success may still
        be in time for a late server. Then that is no part of the result.
        """
        fails = self.behaviours[-1] is Behaviour.FAIL_FOR_GOOD
        if self.attempts or (fails and Behaviour.OVERRUN in self.behaviours):
            return f"{self.name}:ended"
        if succeeded is None:
            succeeded = not fails
        return f"{self.name}:{'succeeded' if succeeded else 'failed'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A child workflow.

    Attributes:
        name: Unique in the program.
        program: What it does.
        policy: What its parent's end means for it, such as "TERMINATE".
        awaited: Whether its parent waits for its end.
    """

    name: str
    program: "Program"
    policy: str
    awaited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    `seconds` belongs to timers and races, `count` to signals and heartbeats, and to how often
    something is sent, `target` to the workflow id that it is sent to.
    """

    kind: Kind
    activities: tuple[Activity, ...] = ()
    seconds: float = 0.0
    count: int = 0
    target: str = ""
    children: tuple[Child, ...] = ()

    @property
    def outcome(self) -> str:
        """What the step adds to the program's result."""
        if self.kind is Kind.ACTIVITIES:
            return " ".join(each.outcome() for each in self.activities)
        return str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a workflow does.

    Attributes:
        steps: In order.
        fails: The run ends as failed instead of completed.
        failing_attempts: How many attempts of the workflow fail before one does not.
        obeys_cancel: The run ends as cancelled as soon as it is asked to.
    """

    steps: tuple[Step, ...]
    fails: bool = False
    failing_attempts: int = 0
    obeys_cancel: bool = False

    @property
    def result(self) -> list[str]:
        """What the last run of the chain returns."""
        return [step.outcome for step in self.steps]

    @property
    def signals(self) -> int:
        """How many signals it needs to come to its end."""
        return max((step.count for step in self.steps if step.kind is Kind.SIGNALS), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a run knows from the runs before it.

    Attributes:
        position: The index of the first step that is left.
        signals: The tokens of the signals received so far.
        results: What the steps before added to the result.
    """

    position: int = 0
    signals: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


def encode(program: Program, carried: Carried) -> bytes:
    """Returns a workflow's input."""
    return json.dumps({"program": asdict(program), "carried": asdict(carried)}).encode()


def decode(data: bytes) -> tuple[Program, Carried]:
    """Reads a workflow's input."""
    value = json.loads(data)
    return _program(value["program"]), Carried(**value["carried"])


def encode_activity(activity: Activity) -> bytes:
    """Returns an activity's input."""
    return json.dumps(asdict(activity)).encode()


def decode_activity(data: bytes) -> Activity:
    """Reads an activity's input."""
    return _activity(json.loads(data))


def _program(value: dict[str, Any]) -> Program:
    steps = tuple(_step(step) for step in value.pop("steps"))
    return Program(steps=steps, **value)


def _step(value: dict[str, Any]) -> Step:
    activities = tuple(_activity(each) for each in value.pop("activities"))
    children = tuple(_child(each) for each in value.pop("children"))
    kind = Kind(value.pop("kind"))
    return Step(kind=kind, activities=activities, children=children, **value)


def _child(value: dict[str, Any]) -> Child:
    return Child(program=_program(value.pop("program")), **value)


def _activity(value: dict[str, Any]) -> Activity:
    behaviours = tuple(Behaviour(each) for each in value.pop("behaviours"))
    return Activity(behaviours=behaviours, **value)


WEIGHTS = {Kind.ACTIVITIES: 4, Kind.SIGNAL_OTHER: 2, Kind.CHILDREN: 2}
"""How much more often than others a kind of step is drawn."""

CHILDREN_DO = (Kind.ACTIVITIES, Kind.ACTIVITIES, Kind.TIMER, Kind.MARKER, Kind.CONTINUE)
"""What children's steps are drawn from."""
ENDLESS_ODDS, AWAITED_ODDS = 0.3, 0.7


class ProgramMaker:
    """Draws programs from a generator.

    Attributes:
        targets: The workflow ids that programs send something to.
    """

    def __init__(self, generator: random.Random) -> None:
        self.targets: list[str] = ["nobody"]
        self._generator = generator
        self._activities = 0
        self._signals = 0
        self._children = 0
        self._endless_odds = ENDLESS_ODDS

    def program(
        self,
        *,
        length: int,
        without: Collection[Kind] = (),
        endless_odds: float = ENDLESS_ODDS,
        **flags: Any,
    ) -> Program:
        """Returns a program of `length` steps, with none of some kinds.

        Args:
            length: How many steps.
            without: Kinds of steps that it has not.
            endless_odds: Of how many children only their parent's end is the end.
            flags: Fields of the program.
        """
        self._activities = self._signals = self._children = 0
        self._endless_odds = endless_odds
        kinds = [kind for kind in Kind if kind not in without]
        weights = [WEIGHTS.get(kind, 1) for kind in kinds]
        drawn = self._generator.choices(kinds, weights, k=length)
        return Program(steps=tuple(self._draw(kind) for kind in drawn), **flags)

    def _draw(self, kind: Kind) -> Step:
        generator = self._generator
        match kind:
            case Kind.ACTIVITIES:
                count = generator.choice((1, 1, 1, 2, 3))
                return Step(kind=kind, activities=tuple(self._activity() for _ in range(count)))
            case Kind.TIMER:
                return Step(kind=kind, seconds=generator.choice((0.001, 0.1, 1.0, 10.0, 60.0)))
            case Kind.RACE:
                seconds = generator.choice((0.01, 0.5, 5.0))
                return Step(kind=kind, seconds=seconds, activities=(self._activity(),))
            case Kind.SIGNALS:
                self._signals += generator.randint(1, 4)
                return Step(kind=kind, count=self._signals)
            case Kind.HEARTBEAT:
                return Step(kind=kind, count=generator.randint(1, 3))
            case Kind.SIGNAL_OTHER | Kind.CANCEL_OTHER:
                count = generator.choice((1, 1, 2, 4))
                return Step(kind=kind, count=count, target=generator.choice(self.targets))
            case Kind.CHILDREN:
                count = generator.choice((1, 1, 2, 3))
                return Step(kind=kind, children=tuple(self._child() for _ in range(count)))
            case Kind.MARKER | Kind.CONTINUE:
                return Step(kind=kind)

    def _child(self) -> Child:
        generator = self._generator
        self._children += 1
        name = f"c{self._children}"
        if generator.random() < self._endless_odds:
            # Nobody signals it: only its parent's end ends it.
            waits = Step(kind=Kind.SIGNALS, count=1)
            program = Program(steps=(waits,), obeys_cancel=True)
            policy = generator.choice(("TERMINATE", "REQUEST_CANCEL"))
            return Child(name=name, program=program, policy=policy, awaited=False)
        drawn = generator.choices(CHILDREN_DO, k=generator.choice((1, 1, 2)))
        return Child(
            name=name,
            program=Program(
                steps=tuple(self._draw(kind) for kind in drawn),
                failing_attempts=generator.choice((0, 0, 0, 1)),
            ),
            policy=generator.choice(("TERMINATE", "ABANDON", "REQUEST_CANCEL")),
            awaited=generator.random() < AWAITED_ODDS,
        )

    def _activity(self) -> Activity:
        generator = self._generator
        self._activities += 1
        failures = [each for each in Behaviour if each not in FINAL]
        behaviours = generator.choices(failures, k=generator.choice((0, 0, 0, 1, 1, 2)))
        behaviours.append(generator.choices(FINAL, weights=(6, 1, 1, 1))[0])
        return Activity(
            name=f"a{self._activities}",
            behaviours=tuple(behaviours),
            attempts=generator.choice((0, 0, 0, 0, 1, 2, 3)),
            start_to_close=generator.choice((1.0, 5.0, 20.0)),
            heartbeat=0.5 if Behaviour.BEAT in behaviours else generator.choice((0.0, 2.0)),
            backoff=generator.choice((0.01, 0.1, 1.0)),
        )
