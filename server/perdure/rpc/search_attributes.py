"""Which search attributes a namespace has of its own: a cache over the store's documents.

One document per namespace holds a serialised `ListSearchAttributesResponse` with the custom
attributes. Documents are replaced by compare-and-set; the cache of one is trusted for
`FRESH_SECONDS`, since another node may change it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from temporalio.api.operatorservice.v1 import request_response_pb2 as op

from perdure.core.errors import UnavailableError
from perdure.core.visibility.query import ValueType
from perdure.persistence.ports import MetadataStore
from perdure.runtime.ports import Clock

FRESH_SECONDS: Final = 2.0
_MOST_ATTEMPTS: Final = 10

Types = Mapping[str, ValueType]
Change = Callable[[dict[str, ValueType]], None]


@dataclass(slots=True, frozen=True)
class _Entry:
    version: int
    types: Types
    read_at: float


class SearchAttributeRegistry:
    """Finds and changes the search attributes of namespaces."""

    def __init__(self, *, metadata: MetadataStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    async def types(self, namespace_id: str) -> Types:
        """Returns the types of a namespace's own search attributes, by name."""
        entry = self._entries.get(namespace_id)
        if entry is None or self._clock.monotonic() - entry.read_at > FRESH_SECONDS:
            entry = await self._read(namespace_id)
        return entry.types

    async def update(self, namespace_id: str, change: Change) -> None:
        """Changes a namespace's own search attributes.

        Args:
            namespace_id: Whose.
            change: Alters the types in place; it is called again when somebody else has changed
                them meanwhile, and may raise.

        Raises:
            UnavailableError: Others changed them all the time.
        """
        for _ in range(_MOST_ATTEMPTS):
            entry = await self._read(namespace_id)
            types = dict(entry.types)
            change(types)
            if types == entry.types:
                return
            document = op.ListSearchAttributesResponse()
            for name, value_type in types.items():
                document.custom_attributes[name] = value_type.value  # type: ignore[assignment]
            stored = await self._metadata.put_document(
                _document_name(namespace_id), entry.version + 1, document.SerializeToString()
            )
            if stored:
                await self._read(namespace_id)
                return
        raise UnavailableError("search attributes are being changed by others, try again")

    async def _read(self, namespace_id: str) -> _Entry:
        read_at = self._clock.monotonic()
        stored = await self._metadata.get_document(_document_name(namespace_id))
        version, data = stored or (0, b"")
        document = op.ListSearchAttributesResponse.FromString(data)
        types = {name: ValueType(number) for name, number in document.custom_attributes.items()}
        entry = _Entry(version, types, read_at)
        self._entries[namespace_id] = entry
        return entry


def _document_name(namespace_id: str) -> str:
    return f"search-attributes/{namespace_id}"
