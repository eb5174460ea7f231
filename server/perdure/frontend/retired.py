"""RPCs that the real server has retired or switched off: they answer as it does."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from perdure.core.errors import PermissionDeniedError, ServiceError, UnimplementedError
from perdure.frontend.gates import NamespaceGate
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext

_VERSION_SETS: Final = (
    "Worker versioning v0.1 (Version Set-based, deprecated) is disabled on this namespace."
)
_VERSION_RULES: Final = (
    "Worker versioning v0.2 (Rules-based, deprecated) is disabled on this namespace."
)
_DEPLOYMENTS: Final = (
    "Deployments are deprecated and no longer supported, use Worker Deployments instead"
)

_DENIED: Final = {
    "UpdateWorkerBuildIdCompatibility": _VERSION_SETS,
    "GetWorkerBuildIdCompatibility": _VERSION_SETS,
    "GetWorkerTaskReachability": _VERSION_RULES,
    "UpdateWorkerVersioningRules": _VERSION_RULES,
    "GetWorkerVersioningRules": _VERSION_RULES,
}
_UNIMPLEMENTED: Final = {
    "DescribeDeployment": _DEPLOYMENTS,
    "ListDeployments": _DEPLOYMENTS,
    "GetDeploymentReachability": _DEPLOYMENTS,
    "GetCurrentDeployment": _DEPLOYMENTS,
    "SetCurrentDeployment": _DEPLOYMENTS,
    "CreateWorkflowRule": "method CreateWorkflowRule not supported",
    "DescribeWorkflowRule": "method DescribeWorkflowRule not supported",
    "DeleteWorkflowRule": "method DeleteWorkflowRule not supported",
    "ListWorkflowRules": "method ListWorkflowRules not supported",
    "TriggerWorkflowRule": "method TriggerWorkflowRule not supported",
    "FetchWorkerConfig": "FetchWorkerConfig command is not enabled.",
    "UpdateWorkerConfig": "UpdateWorkerConfig command is not enabled.",
}


class Retired:
    """Handles what is refused for good."""

    def __init__(self, *, namespaces: NamespaceGate) -> None:
        self._namespaces = namespaces

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        denied = {name: self._refuse(PermissionDeniedError, text) for name, text in _DENIED.items()}
        unimplemented = {
            name: self._refuse(UnimplementedError, text) for name, text in _UNIMPLEMENTED.items()
        }
        return {**denied, **unimplemented}

    def _refuse(self, kind: Callable[[str], ServiceError], message: str) -> Handler:
        async def refuse(request: Any, _context: RequestContext) -> Encoded:
            await self._namespaces.enter(request.namespace)
            raise kind(message)

        return refuse
