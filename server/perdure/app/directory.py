"""What history and metrics must know of namespaces, answered from memory."""

import asyncio
from typing import NamedTuple

from perdure.core.errors import NamespaceNotFoundError
from perdure.history.ports import NamespaceInfo
from perdure.persistence.ports import MetadataStore, StoreError
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import Change, SearchAttributeRegistry, Types
from perdure.runtime.ports import Clock
from perdure.telemetry.logging import Logger

REFRESH_SECONDS = 2.0
_NANOSECONDS = 1_000_000_000
_NONE: Types = {}


class SearchAttributes(SearchAttributeRegistry):
    """The registry, which also tells those who cannot wait what was read last."""

    def __init__(self, *, metadata: MetadataStore, clock: Clock) -> None:
        super().__init__(metadata=metadata, clock=clock)
        self._known: dict[str, Types] = {}

    def known(self, namespace_id: str) -> Types:
        """Returns the types as they were last read, or changed by this process."""
        return self._known.get(namespace_id, _NONE)

    async def types(self, namespace_id: str) -> Types:
        """Returns the types of a namespace's own search attributes, by name."""
        types = await super().types(namespace_id)
        self._known[namespace_id] = types
        return types

    async def update(self, namespace_id: str, change: Change) -> None:
        """Changes a namespace's own search attributes."""
        await super().update(namespace_id, change)
        await self.types(namespace_id)


class _Known(NamedTuple):
    namespace: Namespace
    types: Types
    info: NamespaceInfo


class Directory:
    """A `NamespaceDirectory` over the registries of namespaces and search attributes."""

    def __init__(
        self, *, namespaces: NamespaceRegistry, search_attributes: SearchAttributes
    ) -> None:
        self._namespaces = namespaces
        self._search_attributes = search_attributes
        self._known: dict[str, _Known] = {}

    def info(self, namespace_id: str) -> NamespaceInfo:
        """Returns what history must know of a namespace that exists."""
        namespace = self._namespaces.find_id(namespace_id)
        if namespace is None:
            raise NamespaceNotFoundError(namespace_id)
        types = self._search_attributes.known(namespace_id)
        known = self._known.get(namespace_id)
        # The registries make new objects whenever something may have changed.
        if known is None or known.namespace is not namespace or known.types is not types:
            known = _Known(namespace, types, self._read(namespace, types))
            self._known[namespace_id] = known
        return known.info

    def find(self, name: str) -> str:
        """Returns the id of a namespace."""
        namespace = self._namespaces.find(name)
        if namespace is None:
            raise NamespaceNotFoundError(name)
        return namespace.id

    def name(self, namespace_id: str) -> str:
        """Returns a namespace's name, or its id when it is not known."""
        namespace = self._namespaces.find_id(namespace_id)
        return namespace_id if namespace is None else namespace.name

    async def refresh(self) -> None:
        """Reads all namespaces and their search attributes."""
        await self._namespaces.refresh()
        for row in self._namespaces.rows():
            await self._search_attributes.types(row.id)

    async def keep_fresh(self, log: Logger) -> None:
        """Refreshes every few seconds, until cancelled: other nodes change namespaces too."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except StoreError as error:
                log.warning("namespaces could not be refreshed", error=str(error))

    def _read(self, namespace: Namespace, types: Types) -> NamespaceInfo:
        retention = self._namespaces.describe(namespace).config.workflow_execution_retention_ttl
        return NamespaceInfo(namespace.name, retention.seconds * _NANOSECONDS, types)
