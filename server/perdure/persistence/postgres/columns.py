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

from perdure.persistence.postgres.statements import STATEMENTS

_PARAMETER = re.compile(r"%b(?:::(\w+)\[\])?")
_HEADER = Struct(">iiIii")
"""Dimensions, whether there are NULLs, the elements' type, their number, the first one's index."""
_LENGTH = Struct(">i")
_BOOLEAN = Struct(">i?")
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


def _dumper_class(name: str) -> type[Dumper]:
    info = postgres.types[_CATALOGUE.get(name, name)]
    encode = _ENCODERS[name]

    def dump(_: Dumper, column: Column) -> bytes:
        header = _HEADER.pack(1, 0, info.oid, len(column), 1)
        return b"".join([header, *encode(column)])

    attributes = {"format": Format.BINARY, "oid": info.array_oid, "dump": dump}
    return type(f"{name.capitalize()}ColumnDumper", (Dumper,), attributes)


COLUMNS = {name: _column_class(name) for name in _ENCODERS}
"""The class of a column by its type's name in SQL."""

_DUMPERS = {COLUMNS[name]: _dumper_class(name) for name in _ENCODERS}
_TYPES: dict[str, tuple[Callable[[Any], Any], ...]] = {
    statement: tuple(
        COLUMNS[name] if name else lambda value: value for name in _PARAMETER.findall(sql)
    )
    for statement, sql in STATEMENTS.items()
}


def register(adapters: AdaptersMap) -> None:
    """Teaches a connection to send columns."""
    for column, dumper in _DUMPERS.items():
        adapters.register_dumper(column, dumper)


def typed(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """Returns a statement's parameters with its lists as columns."""
    return [make(value) for make, value in zip(_TYPES[statement], parameters, strict=True)]
