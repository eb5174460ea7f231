"""State changes as objects: where one may start from, where it leads, what it does.

A component's transitions are its whole behaviour: nothing else assigns to its state. A transition
that is asked for in a state that is not among its sources is a bug of the caller, who validates
first; it raises before anything is changed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Concatenate, Generic, ParamSpec, TypeVar

Subject = TypeVar("Subject")
Status = TypeVar("Status", bound=Enum)
Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


class InvalidTransitionError(Exception):
    """A transition was asked for in a state that it does not start from."""


@dataclass(frozen=True, slots=True)
class Transition(Generic[Subject, Status, Parameters, Value]):
    """One named change of a component's state.

    Attributes:
        name: The transition's name, for diagrams and errors.
        sources: The states that it may start from.
        target: The states that it may end in.
        status_of: Reads the component's present state.
        apply: Makes the change.
    """

    name: str
    sources: frozenset[Status]
    target: frozenset[Status]
    status_of: Callable[[Subject], Status]
    apply: Callable[Concatenate[Subject, Parameters], Value]

    def __call__(
        self, subject: Subject, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Value:
        """Applies the transition.

        Raises:
            InvalidTransitionError: The subject is not in one of the sources.
        """
        before = self.status_of(subject)
        if before not in self.sources:
            raise InvalidTransitionError(f"{self.name} cannot start from {before.name}")
        value = self.apply(subject, *args, **kwargs)
        after = self.status_of(subject)
        assert after in self.target, f"{self.name} ended in {after.name}"
        return value


def transition(
    status_of: Callable[[Subject], Status],
    sources: Iterable[Status],
    target: Iterable[Status],
) -> Callable[
    [Callable[Concatenate[Subject, Parameters], Value]],
    Transition[Subject, Status, Parameters, Value],
]:
    """Makes a function whose first argument is the component into a transition of its name."""

    def make(
        apply: Callable[Concatenate[Subject, Parameters], Value],
    ) -> Transition[Subject, Status, Parameters, Value]:
        return Transition(
            name=apply.__name__,
            sources=frozenset(sources),
            target=frozenset(target),
            status_of=status_of,
            apply=apply,
        )

    return make
