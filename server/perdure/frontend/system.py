"""What clients ask about the server itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.frontend.client_versions import SERVER_VERSION, SUPPORTED_CLIENTS, check_client
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext


@dataclass(slots=True, frozen=True)
class ClusterInfo:
    """What a cluster says of itself.

    Attributes:
        cluster_id: The store's random id.
        cluster_name: As replication would call it.
        history_shard_count: Shards at present; they can be split.
        persistence_store: The kind of database.
        visibility_store: The kind of database that listings come from.
        host_name: How this node is called where a host is to be named.
    """

    cluster_id: str
    cluster_name: str = "active"
    history_shard_count: int = 1
    persistence_store: str = ""
    visibility_store: str = ""
    host_name: str = ""


class System:
    """Handles GetSystemInfo and GetClusterInfo."""

    def __init__(self, *, cluster: ClusterInfo) -> None:
        self._system_info = Encoded(_system_info().SerializeToString())
        self._cluster_info = Encoded(_cluster_info(cluster).SerializeToString())

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "GetSystemInfo": self.get_system_info,
            "GetClusterInfo": self.get_cluster_info,
        }

    async def get_system_info(
        self, _request: wf.GetSystemInfoRequest, context: RequestContext
    ) -> Encoded:
        """Returns what this server can do."""
        check_client(context.metadata)
        return self._system_info

    async def get_cluster_info(
        self, _request: wf.GetClusterInfoRequest, _context: RequestContext
    ) -> Encoded:
        """Returns what this cluster is."""
        return self._cluster_info


def _system_info() -> wf.GetSystemInfoResponse:
    """Announces what works here, and nothing else: SDKs act on it."""
    return wf.GetSystemInfoResponse(
        server_version=SERVER_VERSION,
        capabilities=wf.GetSystemInfoResponse.Capabilities(
            signal_and_query_header=True,
            internal_error_differentiation=True,
            activity_failure_include_heartbeat=True,
            encoded_failure_attributes=True,
            # Workers then say which build they are, which events record.
            build_id_based_versioning=True,
            upsert_memo=True,
            supports_schedules=True,
            sdk_metadata=True,
            count_group_by_execution_status=True,
            eager_workflow_start=True,
        ),
    )


def _cluster_info(cluster: ClusterInfo) -> wf.GetClusterInfoResponse:
    return wf.GetClusterInfoResponse(
        supported_clients=SUPPORTED_CLIENTS,
        server_version=SERVER_VERSION,
        cluster_id=cluster.cluster_id,
        cluster_name=cluster.cluster_name,
        history_shard_count=cluster.history_shard_count,
        persistence_store=cluster.persistence_store,
        visibility_store=cluster.visibility_store,
        initial_failover_version=1,
        failover_version_increment=10,
    )
