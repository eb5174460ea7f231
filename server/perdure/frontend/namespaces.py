"""Registering, describing, changing and listing namespaces."""

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import namespace_pb2 as enums
from temporalio.api.namespace.v1.message_pb2 import NamespaceConfig, NamespaceInfo
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.replication.v1.message_pb2 import ClusterReplicationConfig
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import (
    Code,
    FailedPreconditionError,
    InvalidArgumentError,
    NamespaceAlreadyExistsError,
    ServiceError,
    UnavailableError,
    UnimplementedError,
)
from perdure.core.protobuf import duration_ns
from perdure.core.uuids import is_uuid
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.durations import duration_problem
from perdure.frontend.validation.identifiers import check_length
from perdure.persistence.ports import NamespaceRow
from perdure.rpc import namespace_deletion
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.namespaces import (
    CLUSTER_NAME,
    SYSTEM_NAMESPACE_ID,
    NamespaceRegistry,
    new_description,
)
from perdure.runtime.ports import Clock

_DEFAULT_PAGE: Final = 1_000
_NANOSECONDS: Final = 1_000_000_000
_MOST_BAD_BINARIES: Final = 10
_NEXT_STATES: Final = (enums.NAMESPACE_STATE_DEPRECATED, enums.NAMESPACE_STATE_DELETED)


class Namespaces:
    """Handles the RPCs about namespaces."""

    def __init__(
        self, *, registry: NamespaceRegistry, settings: FrontendSettings, clock: Clock
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "RegisterNamespace": self.register,
            "DescribeNamespace": self.describe,
            "ListNamespaces": self.list_all,
            "UpdateNamespace": self.update,
            "DeprecateNamespace": self.deprecate,
        }

    async def register(
        self, request: wf.RegisterNamespaceRequest, _context: RequestContext
    ) -> wf.RegisterNamespaceResponse:
        """Makes a namespace."""
        self._check_name(request.namespace)
        if request.is_global_namespace:
            raise InvalidArgumentError("Cannot register global namespace when not enabled")
        self._check_retention(request.workflow_execution_retention_period)
        if self._registry.find(request.namespace) is not None:
            raise _taken(request.namespace)
        _check_clusters(request.active_cluster_name, request.clusters)
        description = new_description(request.workflow_execution_retention_period)
        info = description.namespace_info
        info.description = request.description
        info.owner_email = request.owner_email
        info.data.update(request.data)
        if not await self._registry.create(request.namespace, description):
            raise _taken(request.namespace)
        return wf.RegisterNamespaceResponse()

    async def describe(
        self, request: wf.DescribeNamespaceRequest, _context: RequestContext
    ) -> wf.DescribeNamespaceResponse:
        """Describes the namespace of a name or an id."""
        if request.namespace and request.id:
            raise InvalidArgumentError(
                "GetNamespace operation failed.  Both ID and Name specified in request."
            )
        if request.id:
            if not is_uuid(request.id):
                raise _UnknownError(f"invalid UUID length: {len(request.id)}")
            namespace = await self._registry.resolve_id(request.id)
        else:
            namespace = await self._resolve(request.namespace)
        return self._complete(self._registry.describe(namespace))

    def operator_handlers(self) -> Mapping[str, Handler]:
        """Returns those of OperatorService, by RPC name."""
        return {"DeleteNamespace": self.delete}

    async def delete(
        self, request: operator.DeleteNamespaceRequest, _context: RequestContext
    ) -> operator.DeleteNamespaceResponse:
        """Renames a namespace and marks it as deleted; the system worker does the rest."""
        namespace = await self._named(request)
        if namespace.id == SYSTEM_NAMESPACE_ID:
            raise FailedPreconditionError("unable to delete system namespace")
        delay = self._settings.namespace_delete_delay_seconds * _NANOSECONDS
        if request.HasField("namespace_delete_delay"):
            delay = max(duration_ns(request.namespace_delete_delay), 0)

        def mark(current: wf.DescribeNamespaceResponse) -> None:
            namespace_deletion.delete(current, now=self._clock.now(), delay=int(delay))

        if namespace_deletion.is_deleted(self._registry.row(namespace)):
            return operator.DeleteNamespaceResponse(deleted_namespace=namespace.name)
        for name in namespace_deletion.new_names(namespace.name, namespace.id):
            if await self._registry.rename(namespace, name, mark):
                return operator.DeleteNamespaceResponse(deleted_namespace=name)
        raise UnavailableError(f"namespace {namespace.name} is being changed by others, try again")

    async def _named(self, request: operator.DeleteNamespaceRequest) -> Namespace:
        """Returns the namespace that is to be deleted."""
        if not request.namespace and not request.namespace_id:
            raise InvalidArgumentError("Namespace not set on request.")
        if request.namespace and request.namespace_id:
            raise InvalidArgumentError("Only one of namespace name or Id should be set on request.")
        if request.namespace_id:
            return await self._registry.resolve_id(request.namespace_id)
        return await self._registry.resolve(request.namespace)

    async def list_all(
        self, request: wf.ListNamespacesRequest, _context: RequestContext
    ) -> wf.ListNamespacesResponse:
        """Lists namespaces by id, in pages; the token is the id of a page's last one."""
        if request.page_size < 0:
            raise _UnknownError(
                "ListNamespaces operation failed. Failed to get namespace rows. Error: missing one"
                " or more args for API"
            )
        await self._registry.refresh()
        after = request.next_page_token.decode(errors="replace")
        rows = [row for row in self._registry.rows() if row.id > after]
        size = request.page_size or _DEFAULT_PAGE
        response = wf.ListNamespacesResponse()
        for row in rows[:size]:
            description = wf.DescribeNamespaceResponse.FromString(row.data)
            if _is_listed(description, request):
                response.namespaces.append(self._complete(description))
        if len(rows) > size:
            response.next_page_token = _token_after(rows[size - 1])
        return response

    async def update(
        self, request: wf.UpdateNamespaceRequest, _context: RequestContext
    ) -> wf.UpdateNamespaceResponse:
        """Changes a namespace."""
        namespace = await self._resolve(request.namespace)
        self._check_update(request)
        described = self._complete(
            await self._registry.update(namespace, lambda current: _apply(request, current))
        )
        return wf.UpdateNamespaceResponse(
            namespace_info=described.namespace_info,
            config=described.config,
            replication_config=described.replication_config,
        )

    async def deprecate(
        self, request: wf.DeprecateNamespaceRequest, _context: RequestContext
    ) -> wf.DeprecateNamespaceResponse:
        """Marks a namespace as deprecated; it works on."""
        namespace = await self._resolve(request.namespace)

        def deprecate(current: wf.DescribeNamespaceResponse) -> None:
            current.namespace_info.state = enums.NAMESPACE_STATE_DEPRECATED

        await self._registry.update(namespace, deprecate)
        return wf.DeprecateNamespaceResponse()

    async def _resolve(self, name: str) -> Namespace:
        self._check_name(name)
        return await self._registry.resolve(name)

    def _check_name(self, name: str) -> None:
        if not name:
            raise InvalidArgumentError("Namespace not set on request.")
        check_length("Namespace", name, self._settings.max_id_bytes)

    def _check_retention(self, retention: Duration) -> None:
        too_short = retention.seconds < self._settings.min_retention_seconds
        if too_short or duration_problem(retention):
            raise InvalidArgumentError("A valid retention period is not set on request.")

    def _check_update(self, request: wf.UpdateNamespaceRequest) -> None:
        if request.promote_namespace:
            raise InvalidArgumentError(
                "global namespace is not enabled on this cluster, cannot update global namespace"
                f" or promote local namespace: {request.namespace}"
            )
        if request.config.HasField("workflow_execution_retention_ttl"):
            self._check_retention(request.config.workflow_execution_retention_ttl)
        if len(request.config.bad_binaries.binaries) > _MOST_BAD_BINARIES:
            raise InvalidArgumentError(
                f"Total resetBinaries cannot exceed the max limit: {_MOST_BAD_BINARIES}"
            )
        if request.delete_bad_binary:
            raise InvalidArgumentError(
                f"Bad binary checksum {request.delete_bad_binary} doesn't exists."
            )
        replication = request.replication_config
        _check_clusters(replication.active_cluster_name, replication.clusters)
        _refuse_unavailable(request.config)

    def _complete(self, described: wf.DescribeNamespaceResponse) -> wf.DescribeNamespaceResponse:
        """Adds what this server can do and how much it takes, which is not stored."""
        info: NamespaceInfo = described.namespace_info
        info.capabilities.sync_update = info.capabilities.async_update = True
        info.capabilities.worker_heartbeats = True
        info.supports_schedules = True
        info.capabilities.eager_workflow_start = True
        info.limits.blob_size_limit_error = self._settings.max_blob_bytes
        info.limits.memo_size_limit_error = self._settings.max_memo_bytes
        return described


class _UnknownError(ServiceError):
    """What the real server answers where it has not thought of an error of its own."""

    code = Code.UNKNOWN


def _taken(name: str) -> NamespaceAlreadyExistsError:
    return NamespaceAlreadyExistsError(f'Namespace "{name}" already exists')


def _check_clusters(active: str, clusters: Iterable[ClusterReplicationConfig]) -> None:
    names = [active] if active else []
    names += [cluster.cluster_name for cluster in clusters]
    for name in names:
        if name != CLUSTER_NAME:
            raise InvalidArgumentError(f"Invalid cluster name: {name}")


def _refuse_unavailable(config: NamespaceConfig) -> None:
    if config.bad_binaries.binaries:
        raise UnimplementedError("bad binaries are not implemented by this server")
    if config.custom_search_attribute_aliases:
        raise UnimplementedError(
            "search attribute aliases are not implemented by this server: add search attributes"
            " under the names that they shall have"
        )


def _apply(request: wf.UpdateNamespaceRequest, current: wf.DescribeNamespaceResponse) -> None:
    wanted, info = request.update_info, current.namespace_info
    if wanted.description:
        info.description = wanted.description
    if wanted.owner_email:
        info.owner_email = wanted.owner_email
    info.data.update(wanted.data)
    if wanted.state and wanted.state != info.state:
        if wanted.state not in _NEXT_STATES or wanted.state < info.state:
            raise InvalidArgumentError("Invalid namespace state update.")
        info.state = wanted.state
    if request.config.HasField("workflow_execution_retention_ttl"):
        current.config.workflow_execution_retention_ttl.CopyFrom(
            request.config.workflow_execution_retention_ttl
        )


def _is_listed(
    description: wf.DescribeNamespaceResponse, request: wf.ListNamespacesRequest
) -> bool:
    is_deleted = description.namespace_info.state == enums.NAMESPACE_STATE_DELETED
    return request.namespace_filter.include_deleted or not is_deleted


def _token_after(row: NamespaceRow) -> bytes:
    return row.id.encode()
