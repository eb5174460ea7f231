"""Which namespaces exist: a cache over the store's rows, for all roles.

Rules that hold here: looking up a known name touches no store; a name that is not known makes one
read for all who ask at the same time, and not more than one per `MISS_INTERVAL_SECONDS`, unless it
is another node that asks; rows are replaced by compare-and-set, so that no update is lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import namespace_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NamespaceNotFoundError, UnavailableError
from perdure.persistence.ports import MetadataStore, NamespaceRow
from perdure.rpc.clients import Namespace
from perdure.runtime.ports import Clock, Ids

MISS_INTERVAL_SECONDS: Final = 0.5
_MOST_ATTEMPTS: Final = 10

CLUSTER_NAME: Final = "active"
"""What clusters without a name of their own are called, as on the real server."""

SYSTEM_NAMESPACE: Final = "temporal-system"
"""Holds the server's own workflows; every cluster has it, under one id."""
SYSTEM_NAMESPACE_ID: Final = "32049b68-7872-4094-8e63-d0dd59896a83"
SYSTEM_RETENTION_SECONDS: Final = 7 * 24 * 3600

Change = Callable[[wf.DescribeNamespaceResponse], None]


class NamespaceRegistry:
    """Finds, makes and changes namespaces."""

    def __init__(self, *, metadata: MetadataStore, clock: Clock, ids: Ids) -> None:
        self._metadata = metadata
        self._clock = clock
        self._ids = ids
        self._rows: dict[str, NamespaceRow] = {}
        self._by_name: dict[str, Namespace] = {}
        self._by_id: dict[str, Namespace] = {}
        self._refreshed_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._learning = asyncio.Lock()

    def find(self, name: str) -> Namespace | None:
        """Returns a namespace that is in the cache."""
        return self._by_name.get(name)

    def find_id(self, namespace_id: str) -> Namespace | None:
        """Returns the namespace of an id that is in the cache."""
        return self._by_id.get(namespace_id)

    async def resolve(self, name: str) -> Namespace:
        """Returns a namespace.

        Raises:
            NamespaceNotFoundError: It does not exist.
        """
        if (namespace := self._by_name.get(name)) is None:
            await self._refresh_on_miss()
            if (namespace := self._by_name.get(name)) is None:
                raise NamespaceNotFoundError(name)
        return namespace

    async def resolve_id(self, namespace_id: str) -> Namespace:
        """Returns the namespace of an id.

        Raises:
            NamespaceNotFoundError: It does not exist.
        """
        if (namespace := self._by_id.get(namespace_id)) is None:
            await self._refresh_on_miss()
            if (namespace := self._by_id.get(namespace_id)) is None:
                raise NamespaceNotFoundError(namespace_id)
        return namespace

    async def learn(self, namespace_id: str) -> Namespace:
        """Returns the namespace of an id that another node has found.

        One that is not known makes a read that begins after the call, whenever the last one was.

        Raises:
            NamespaceNotFoundError: It does not exist any more.
        """
        async with self._learning:
            if namespace_id not in self._by_id:
                await self.refresh()
        if (namespace := self._by_id.get(namespace_id)) is None:
            raise NamespaceNotFoundError(namespace_id)
        return namespace

    def describe(self, namespace: Namespace) -> wf.DescribeNamespaceResponse:
        """Returns a copy of what is stored of a namespace."""
        return wf.DescribeNamespaceResponse.FromString(self._rows[namespace.name].data)

    def row(self, namespace: Namespace) -> NamespaceRow:
        """Returns a namespace's row as it is in the cache."""
        return self._rows[namespace.name]

    def rows(self) -> Sequence[NamespaceRow]:
        """Returns all namespaces in the cache, by id."""
        return sorted(self._rows.values(), key=lambda row: row.id)

    async def create(self, name: str, description: wf.DescribeNamespaceResponse) -> bool:
        """Makes a namespace; its name and a new id are written into the description.

        Returns:
            False when a namespace of that name, or of the description's own id, exists.
        """
        info = description.namespace_info
        info.name = name
        info.id = info.id or self._ids.request_id()
        row = NamespaceRow(info.id, name, 1, description.SerializeToString())
        created = await self._metadata.create_namespace(row)
        if created:
            self._remember(row)
        return created

    async def update(self, namespace: Namespace, change: Change) -> wf.DescribeNamespaceResponse:
        """Changes what is stored of a namespace.

        Args:
            namespace: Which.
            change: Alters the description in place; it is called again when somebody else has
                changed the namespace meanwhile, and may raise.

        Raises:
            UnavailableError: Others changed it all the time.
        """
        for _ in range(_MOST_ATTEMPTS):
            await self.refresh()
            row = self._rows.get(namespace.name)
            if row is None:
                raise NamespaceNotFoundError(namespace.name)
            description = wf.DescribeNamespaceResponse.FromString(row.data)
            change(description)
            changed = row._replace(version=row.version + 1, data=description.SerializeToString())
            if await self._metadata.update_namespace(changed):
                self._remember(changed)
                return description
        raise UnavailableError(f"namespace {namespace.name} is being changed by others, try again")

    async def rename(self, namespace: Namespace, name: str, change: Change) -> bool:
        """Changes what is stored of a namespace, its name too.

        Args:
            namespace: Which.
            name: Its new name.
            change: Alters the description in place.

        Returns:
            False when the name is taken, or somebody else changed the namespace meanwhile.
        """
        await self.refresh()
        row = self._rows.get(namespace.name)
        if row is None or row.id != namespace.id:
            raise NamespaceNotFoundError(namespace.name)
        description = wf.DescribeNamespaceResponse.FromString(row.data)
        change(description)
        description.namespace_info.name = name
        renamed = NamespaceRow(row.id, name, row.version + 1, description.SerializeToString())
        if not await self._metadata.update_namespace(renamed):
            return False
        if namespace.name in self._rows:
            self._forget(namespace.name)
        self._remember(renamed)
        return True

    async def remove(self, namespace: Namespace) -> bool:
        """Removes a namespace; False when somebody else has changed it meanwhile."""
        row = self._rows.get(namespace.name)
        if row is None or not await self._metadata.delete_namespace(row.id, row.version):
            return False
        if self._rows.get(namespace.name) is row:
            self._forget(namespace.name)
        return True

    async def ensure(self, name: str, *, retention_seconds: int) -> Namespace:
        """Returns a namespace, which is made first when it does not exist.

        Args:
            name: Its name.
            retention_seconds: How long closed workflows are kept, if it is made.
        """
        return await self._ensure(name, new_description(Duration(seconds=retention_seconds)))

    async def ensure_system(self) -> Namespace:
        """Returns the system's own namespace, which is made first when it does not exist."""
        wanted = new_description(Duration(seconds=SYSTEM_RETENTION_SECONDS))
        info = wanted.namespace_info
        info.id = SYSTEM_NAMESPACE_ID
        info.description = "Temporal internal system namespace"
        info.owner_email = "temporal-core@temporal.io"
        return await self._ensure(SYSTEM_NAMESPACE, wanted)

    async def refresh(self) -> None:
        """Reads all namespaces from the store."""
        rows = await self._metadata.list_namespaces()
        present = {row.name for row in rows}
        for name in self._rows.keys() - present:
            self._forget(name)
        for row in rows:
            self._remember(row)
        self._refreshed_at = self._clock.monotonic()

    async def _ensure(self, name: str, wanted: wf.DescribeNamespaceResponse) -> Namespace:
        await self.refresh()
        if (namespace := self._by_name.get(name)) is not None:
            return namespace
        # Only namespaces that a client registered have a state of replication.
        wanted.replication_config.ClearField("state")
        if not await self.create(name, wanted):
            await self.refresh()
        return self._by_name[name]

    async def _refresh_on_miss(self) -> None:
        if self._refreshing is None:
            if self._clock.monotonic() - self._refreshed_at < MISS_INTERVAL_SECONDS:
                return
            self._refreshing = asyncio.ensure_future(self.refresh())
            self._refreshing.add_done_callback(self._refreshed)
        # One caller going away must not take the answer from the others.
        await asyncio.shield(self._refreshing)

    def _refreshed(self, _task: asyncio.Task[None]) -> None:
        self._refreshing = None

    def _remember(self, row: NamespaceRow) -> None:
        known = self._rows.get(row.name)
        if known is not None and known.id == row.id and known.version >= row.version:
            return  # a read that began before the newest write
        namespace = Namespace(row.id, row.name)
        self._rows[row.name] = row
        self._by_name[row.name] = self._by_id[row.id] = namespace

    def _forget(self, name: str) -> None:
        row = self._rows.pop(name)
        del self._by_name[name], self._by_id[row.id]


def new_description(retention: Duration) -> wf.DescribeNamespaceResponse:
    """Returns what is stored of a new namespace: registered, local, without archival."""
    description = wf.DescribeNamespaceResponse()
    description.namespace_info.state = enums.NAMESPACE_STATE_REGISTERED
    config = description.config
    config.workflow_execution_retention_ttl.CopyFrom(retention)
    config.bad_binaries.SetInParent()
    config.history_archival_state = enums.ARCHIVAL_STATE_DISABLED
    config.visibility_archival_state = enums.ARCHIVAL_STATE_DISABLED
    replication = description.replication_config
    replication.active_cluster_name = CLUSTER_NAME
    replication.clusters.add(cluster_name=CLUSTER_NAME)
    replication.state = enums.REPLICATION_STATE_NORMAL
    return description
