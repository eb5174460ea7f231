"""Groups of settings: a plain frozen dataclass that a part takes, and the keys that fill it.

The dataclass knows nothing of keys or files, so that the core can have one too; its field
defaults are the settings' defaults.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from perdure.config.settings import Setting, Values, declare

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

G = TypeVar("G", bound="DataclassInstance")


class Key(NamedTuple):
    """How operators reach one field: what `settings.declare` wants."""

    key: str
    convert: Callable[[object], object]
    unit: str
    text: str
    live: bool = False


class Shared(NamedTuple):
    """A setting that another group declared; `convert` gives its value in this field's unit."""

    setting: Setting[object]
    convert: Callable[[Any], object] = lambda value: value


class Group(Generic[G]):
    """A dataclass with all defaults, and the settings that replace some of its fields."""

    def __init__(self, defaults: G, fields: Mapping[str, "Shared | Group[Any]"]) -> None:
        self.defaults = defaults
        self._fields = fields

    def __getitem__(self, name: str) -> Setting[object]:
        """Returns the setting of a field, for another group that shares it."""
        field = self._fields[name]
        assert isinstance(field, Shared), f"{name} is a group of its own"
        return field.setting

    def settings(self) -> Iterator[Setting[object]]:
        """Iterates over all settings of the group and of the groups in it."""
        for field in self._fields.values():
            if isinstance(field, Group):
                yield from field.settings()
            else:
                yield field.setting

    def build(self, values: Values, namespace: str = "") -> G:
        """Returns the group as a server shall have it, for a namespace where that is named."""
        given = {name: _value(field, values, namespace) for name, field in self._fields.items()}
        return replace(self.defaults, **given)


def declare_group(defaults: G, fields: Mapping[str, Key | Shared | Group[Any]]) -> Group[G]:
    """Declares a setting for each named field, or fills it from one that another group declared.

    A field that is a dataclass itself takes a group. What is shared must have the same default in
    both groups.
    """
    settings = {
        name: _declare_field(name, getattr(defaults, name), field) for name, field in fields.items()
    }
    return Group(defaults, settings)


def _declare_field(
    name: str, default: object, field: Key | Shared | Group[Any]
) -> Shared | Group[Any]:
    if isinstance(field, Key):
        return Shared(
            declare(
                field.key,
                field.convert,
                default=default,
                unit=field.unit,
                text=field.text,
                live=field.live,
            )
        )
    if (other := _value(field, Values())) != default:
        raise ValueError(f"field {name} has two defaults, {other} and {default}")
    return field


def _value(field: Shared | Group[Any], values: Values, namespace: str = "") -> object:
    if isinstance(field, Group):
        return field.build(values, namespace)
    return field.convert(values.get(field.setting, namespace))
