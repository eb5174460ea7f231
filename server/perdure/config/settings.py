"""The setting type, the registry of all settings, and their values in one server.

A user declares its settings as constants:

    MAX_SIGNALS = declare(
        "history.maximumSignalsPerExecution",
        integer, default=10_000, unit="signals", text="Signals that one run accepts.",
    )

and takes `values.get(MAX_SIGNALS)` once, while the server is put together. Keys are those of
Temporal's dynamic configuration where it has one; like there, their case does not matter.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import JsonValue

from perdure.config.errors import ConfigError
from perdure.config.names import suggestion

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Setting(Generic[T]):
    """Something that an operator may change.

    Attributes:
        key: Its name in files and flags.
        convert: Turns a JSON value into the setting's type; ValueError says what it wants.
        default: The value when none is given.
        unit: What a number counts ("signals", "bytes", "s"); empty where there is none.
        text: A sentence for operators.
        live: Whether it may be changed while the server runs, and for one namespace alone.
    """

    key: str
    convert: Callable[[object], T]
    default: T
    unit: str
    text: str
    live: bool = False

    def describe_default(self) -> str:
        """Returns the default with its unit; durations in seconds, as they are given."""
        if self.unit == "ns" and isinstance(self.default, int):
            return f"{self.default / 1e9:g} s"
        return f"{self.default} {self.unit}".rstrip()


SETTINGS: dict[str, Setting[object]] = {}
"""Every setting declared by the modules imported so far, by key in lower case."""


def declare(
    key: str,
    convert: Callable[[object], T],
    *,
    default: T,
    unit: str,
    text: str,
    live: bool = False,
) -> Setting[T]:
    """Declares a setting; a key can be declared only once."""
    setting = Setting(key=key, convert=convert, default=default, unit=unit, text=text, live=live)
    if key.lower() in SETTINGS:
        raise ValueError(f"setting {key} is declared twice")
    SETTINGS[key.lower()] = setting  # type: ignore[assignment]
    return setting


@dataclass(frozen=True, slots=True)
class Problem:
    """A given value that has no effect: the key as it was written, and a sentence."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Values:
    """The values of all settings in one server.

    Attributes:
        given: Converted values by key.
        of_namespaces: What replaces them in some namespaces, by the namespace's name.
    """

    given: Mapping[str, object] = field(default_factory=dict)
    of_namespaces: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def get(self, setting: Setting[T], namespace: str = "") -> T:
        """Returns a setting's value, as it is for a namespace."""
        value = self.given.get(setting.key, setting.default)
        if own := self.of_namespaces.get(namespace):
            value = own.get(setting.key, value)
        return value  # type: ignore[return-value]

    def changed(self) -> dict[str, object]:
        """Returns the values that differ from the defaults, by key."""
        return {
            setting.key: self.given[setting.key]
            for setting in SETTINGS.values()
            if setting.key in self.given and self.given[setting.key] != setting.default
        }


@dataclass(frozen=True, slots=True)
class Given:
    """A value as an operator wrote it.

    Attributes:
        key: The setting's key, in any case.
        raw: What JSON or YAML holds.
        namespace: The one namespace that it is for; "" for all.
    """

    key: str
    raw: object
    namespace: str = ""


def resolve(given: Mapping[str, object]) -> tuple[Values, list[Problem]]:
    """Converts given values; those that cannot be used are left at their defaults and named."""
    return resolve_all(Given(key, raw) for key, raw in given.items())


def resolve_all(given: Iterable[Given]) -> tuple[Values, list[Problem]]:
    """As `resolve`, of values that may be for one namespace; of several, the last one counts."""
    converted: dict[str, dict[str, object]] = {"": {}}
    problems = []
    for each in given:
        setting = SETTINGS.get(each.key.lower())
        try:
            value = _converted(each, setting)
        except ValueError as error:
            problems.append(Problem(each.key, f'setting "{each.key}" {error}'))
        else:
            assert setting is not None
            converted.setdefault(each.namespace, {})[setting.key] = value
    return Values(converted.pop(""), converted), problems


def _converted(given: Given, setting: Setting[object] | None) -> object:
    """Returns a value of the setting's type. Raises ValueError with the rest of a sentence."""
    if setting is None:
        near = suggestion(given.key, (known.key for known in SETTINGS.values()))
        raise ValueError(f"has no effect here{near}")
    if given.namespace and not setting.live:
        raise ValueError("is the same for all namespaces: leave its constraints out")
    try:
        return setting.convert(given.raw)
    except ValueError as error:
        raise ValueError(f"{error}, not {json.dumps(given.raw, default=str)}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, JsonValue]:
    """Reads `KEY=JSON` pairs, later ones winning.

    Raises:
        ConfigError: A pair has no "=" or its value is not JSON.
    """
    given: dict[str, JsonValue] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise ConfigError(f'dynamic config value "{assignment}" is not of the form KEY=JSON')
        try:
            given[key] = json.loads(value)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f'invalid JSON value for key "{key}": {error.msg} at character {error.pos + 1};'
                f" strings need double quotes inside the shell's own"
            ) from error
    return given
