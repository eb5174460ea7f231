"""Groups of settings: a plain frozen dataclass that a part takes, and the keys that fill it.

The dataclass knows nothing of keys or files, so that the core can have one too; its field
defaults are the settings' defaults.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from perdure.config.settings import Setting, Values, declare

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

G = TypeVar("G", bound="DataclassInstance")


class Key(NamedTuple):
    """How operators reach one field: key, converter, unit and text as `settings.declare` wants."""

    key: str
    convert: Callable[[object], object]
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class Group(Generic[G]):
    """A dataclass with all defaults, and the settings that replace some of its fields."""

    defaults: G
    settings: Mapping[str, Setting[object]]

    def build(self, values: Values) -> G:
        """Returns the group as a server shall have it."""
        given = {name: values.get(setting) for name, setting in self.settings.items()}
        return replace(self.defaults, **given)


def declare_group(defaults: G, fields: Mapping[str, Key | Setting[object]]) -> Group[G]:
    """Declares a setting for each named field, or fills it from one that another group declared.

    A shared setting must have the same default in both groups.
    """
    settings = {
        name: _declare_field(getattr(defaults, name), field) for name, field in fields.items()
    }
    return Group(defaults, settings)


def _declare_field(default: object, field: Key | Setting[object]) -> Setting[object]:
    if isinstance(field, Key):
        return declare(field.key, field.convert, default=default, unit=field.unit, text=field.text)
    if field.default != default:
        raise ValueError(f"setting {field.key} has two defaults, {field.default} and {default}")
    return field
