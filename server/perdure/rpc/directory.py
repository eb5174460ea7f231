"""Keeps what every role reads of the cluster's metadata fresh: namespaces and search attributes.

Others change both: they are read again every `REFRESH_SECONDS`.
"""

import asyncio
from contextlib import suppress
from typing import Final

from perdure.persistence.ports import StoreError
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry

REFRESH_SECONDS: Final = 2.0


async def load_metadata(
    namespaces: NamespaceRegistry, search_attributes: SearchAttributeRegistry
) -> None:
    """Reads all namespaces and their search attributes: once before serving, then repeatedly.

    Raises:
        StoreUnavailable: The store cannot be read; what was known before stays.
    """
    await namespaces.refresh()
    await search_attributes.refresh([row.id for row in namespaces.rows()])


async def keep_metadata_fresh(
    namespaces: NamespaceRegistry, search_attributes: SearchAttributeRegistry
) -> None:
    """Reads them again and again, until cancelled."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        # Without the store, what was known before has to do.
        with suppress(StoreError):
            await load_metadata(namespaces, search_attributes)
