"""Columns of rows as PostgreSQL's binary arrays.

Rules that hold here: the types are those that a statement casts its parameters to, so that no value
has to be looked at to tell its type, which is what most of the driver's time goes into.
"""

import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from psycopg import postgres
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from perdure.persistence.postgres.statements import STATEMENTS

_PARAMETER = re.compile(r"%b(?:::(\w+)\[\])?")
_HEADER = Struct(">iiIii")
"""Dimensions, whether there are NULLs, the elements' type, their number, the first one's index."""
_LENGTH = Struct(">i")
_BOOLEAN = Struct(">i?")
_NUMBER = Struct(">q")
_CATALOGUE = {"smallint": "int2", "int": "int4", "bigint": "int8", "boolean": "bool"}
"""What the driver calls a type that it knows by another name."""


class Column(list[Any]):
    """A list whose class says which type its elements have."""

    __slots__ = ()


def _texts(values: Sequence[str]) -> list[bytes]:
    return _blobs([value.encode() for value in values])


def _blobs(values: Sequence[bytes]) -> list[bytes]:
    pack = _LENGTH.pack
    parts: list[bytes] = []
    for value in values:
        parts += (pack(len(value)), value)
    return parts


def _numbers(structure: Struct) -> Callable[[Sequence[int]], list[bytes]]:
    pack, size = structure.pack, structure.size - _LENGTH.size
    return lambda values: [pack(size, value) for value in values]


def _number(value: int) -> bytes:
    return _NUMBER.pack(value)


def _booleans(values: Sequence[bool]) -> list[bytes]:
    return [_BOOLEAN.pack(1, value) for value in values]


_ENCODERS: dict[str, Callable[[Sequence[Any]], list[bytes]]] = {
    "text": _texts,
    "bytea": _blobs,
    "boolean": _booleans,
    "smallint": _numbers(Struct(">ih")),
    "int": _numbers(Struct(">ii")),
    "bigint": _numbers(Struct(">iq")),
}


def _column_class(name: str) -> type[Column]:
    return type(f"{name.capitalize()}Column", (Column,), {"__slots__": ()})


def _info(name: str) -> TypeInfo:
    return postgres.types[_CATALOGUE.get(name, name)]


def _array_encoder(name: str) -> Callable[[Sequence[Any]], bytes]:
    oid = _info(name).oid
    encode = _ENCODERS[name]

    def array(values: Sequence[Any]) -> bytes:
        header = _HEADER.pack(1, 0, oid, len(values), 1)
        return b"".join([header, *encode(values)])

    return array


def _dumper_class(name: str) -> type[Dumper]:
    encode = _ARRAY_ENCODERS[name]

    def dump(_: Dumper, column: Column) -> bytes:
        return encode(column)

    attributes = {"format": Format.BINARY, "oid": _info(name).array_oid, "dump": dump}
    return type(f"{name.capitalize()}ColumnDumper", (Dumper,), attributes)


_ARRAY_ENCODERS = {name: _array_encoder(name) for name in _ENCODERS}
COLUMNS = {name: _column_class(name) for name in _ENCODERS}
"""The class of a column by its type's name in SQL."""

_DUMPERS = {COLUMNS[name]: _dumper_class(name) for name in _ENCODERS}
_TYPES: dict[str, tuple[Callable[[Any], Any], ...]] = {
    statement: tuple(
        COLUMNS[name] if name else lambda value: value for name in _PARAMETER.findall(sql)
    )
    for statement, sql in STATEMENTS.items()
}
_TYPE_NAMES = {statement: _PARAMETER.findall(sql) for statement, sql in STATEMENTS.items()}
_PARAMETER_TYPES = {
    statement: [_info(name).array_oid if name else _info("bigint").oid for name in names]
    for statement, names in _TYPE_NAMES.items()
}
_PARAMETER_ENCODERS = {
    statement: [_ARRAY_ENCODERS[name] if name else _number for name in names]
    for statement, names in _TYPE_NAMES.items()
}


def register(adapters: AdaptersMap) -> None:
    """Teaches a connection to send columns."""
    for column, dumper in _DUMPERS.items():
        adapters.register_dumper(column, dumper)


def typed(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """Returns a statement's parameters with its lists as columns."""
    return [make(value) for make, value in zip(_TYPES[statement], parameters, strict=True)]


def encoded(statement: str, parameters: Sequence[Any]) -> list[bytes]:
    """Returns a statement's parameters as they travel: lists as arrays, others as bigint."""
    encoders = _PARAMETER_ENCODERS[statement]
    return [encode(value) for encode, value in zip(encoders, parameters, strict=True)]


def parameter_types(statement: str) -> list[int]:
    """Returns the types of a statement's parameters as the server numbers them."""
    return _PARAMETER_TYPES[statement]
