"""The keys that a configuration file may have, read from the models that check it."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from perdure.config.static import ServerConfig


class FileKey(NamedTuple):
    """A key: its dotted name, the values that it takes, its default as JSON has it, a sentence.

    A part of the name that ends in "[]" is a list of sections, and "<name>" stands for whatever
    name a section has. The default is None where a value must be given.
    """

    name: str
    values: str
    default: JsonValue
    text: str


def file_keys(model: type[BaseModel] = ServerConfig, prefix: str = "") -> Iterator[FileKey]:
    """Yields every key that holds a value, in the order of the models."""
    for name, field in fields_of(model).items():
        section = section_of(field.annotation)
        if section is not None:
            many = _MANY.get(get_origin(field.annotation), "")
            yield from file_keys(section, f"{prefix}{name}{many}.")
        else:
            values = _values(field.annotation)
            default = None if field.is_required() else field.default
            yield FileKey(f"{prefix}{name}", values, default, field.description or "")


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Returns the fields of a section by the names that files have for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def section_of(annotation: object) -> type[BaseModel] | None:
    """Returns the model of a section, or of a list of sections; None for what holds a value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


_MANY: dict[Any, str] = {list: "[]", dict: ".<name>"}
_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true | false",
    JsonValue: "any value",
}


def _values(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Literal:
            return " | ".join(map(str, arguments))
        case origin if origin is list:
            return f"a list of {_values(arguments[0])}"
        case origin if origin is dict:
            return f"{_values(arguments[0])}: {_values(arguments[1])}"
    raise AssertionError(f"a configuration key of the type {annotation}")
