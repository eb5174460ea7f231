"""Adding, removing and listing a namespace's own search attributes.

A namespace may have as many as it likes of every type: none has a column of its own.
"""

from collections.abc import Mapping

from temporalio.api.enums.v1 import common_pb2 as enums
from temporalio.api.operatorservice.v1 import request_response_pb2 as op
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.catalogue import (
    PREDEFINED,
    builtin_types,
    is_reserved,
    is_system,
)
from perdure.core.visibility.query import ValueType
from perdure.frontend.validation.identifiers import refuse_nul
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry


class SearchAttributes:
    """Handles the operator's RPCs about search attributes, and the old one that reads them."""

    def __init__(
        self,
        *,
        namespaces: NamespaceRegistry,
        registry: SearchAttributeRegistry,
    ) -> None:
        self._namespaces = namespaces
        self._registry = registry

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers of the workflow service by RPC name."""
        return {"GetSearchAttributes": self.get_all}

    def operator_handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers of the operator service by RPC name."""
        return {
            "AddSearchAttributes": self.add,
            "RemoveSearchAttributes": self.remove,
            "ListSearchAttributes": self.list_all,
        }

    async def add(
        self, request: op.AddSearchAttributesRequest, _context: RequestContext
    ) -> op.AddSearchAttributesResponse:
        """Adds search attributes; those that exist stay as they are."""
        namespace = await self._enter_if_named(request.namespace)
        if not request.search_attributes:
            raise InvalidArgumentError("SearchAttributes are not set on request.")
        wanted = dict(sorted(request.search_attributes.items()))
        for name, number in wanted.items():
            if is_reserved(name):
                raise InvalidArgumentError(f"Search attribute {name} is reserved by system.")
            refuse_nul("Search attribute name", name)
            if number not in enums.IndexedValueType.values():
                raise InvalidArgumentError(f"Unknown search attribute type: {number}.")
        namespace = _required(namespace)
        await self._registry.update(namespace.id, lambda types: _add_to(types, wanted))
        return op.AddSearchAttributesResponse()

    async def remove(
        self, request: op.RemoveSearchAttributesRequest, _context: RequestContext
    ) -> op.RemoveSearchAttributesResponse:
        """Removes search attributes; those that do not exist are none of its business."""
        namespace = await self._enter_if_named(request.namespace)
        if not request.search_attributes:
            raise InvalidArgumentError("SearchAttributes are not set on request.")
        namespace = _required(namespace)
        for name in request.search_attributes:
            if is_system(name) or name in PREDEFINED:
                raise InvalidArgumentError(
                    f"Unable to remove non-custom search attributes: {name}."
                )

        def drop(types: dict[str, ValueType]) -> None:
            for name in request.search_attributes:
                types.pop(name, None)

        await self._registry.update(namespace.id, drop)
        return op.RemoveSearchAttributesResponse()

    async def list_all(
        self, request: op.ListSearchAttributesRequest, _context: RequestContext
    ) -> op.ListSearchAttributesResponse:
        """Lists a namespace's own search attributes, and the system's."""
        namespace = _required(await self._enter_if_named(request.namespace))
        response = op.ListSearchAttributesResponse()
        for name, value_type in (await self._registry.types(namespace.id)).items():
            response.custom_attributes[name] = value_type.value  # type: ignore[assignment]
        for name, value_type in builtin_types().items():
            response.system_attributes[name] = value_type.value  # type: ignore[assignment]
        return response

    async def get_all(
        self, _request: wf.GetSearchAttributesRequest, _context: RequestContext
    ) -> wf.GetSearchAttributesResponse:
        """Lists the system's search attributes, for old clients."""
        response = wf.GetSearchAttributesResponse()
        for name, value_type in builtin_types().items():
            response.keys[name] = value_type.value  # type: ignore[assignment]
        return response

    async def _enter_if_named(self, name: str) -> Namespace | None:
        return await self._namespaces.resolve(name) if name else None


def _required(namespace: Namespace | None) -> Namespace:
    if namespace is None:
        raise InvalidArgumentError("Namespace is not set on request.")
    return namespace


def _add_to(types: dict[str, ValueType], wanted: Mapping[str, int]) -> None:
    for name, number in wanted.items():
        if name in types:
            continue
        if number == enums.INDEXED_VALUE_TYPE_UNSPECIFIED:
            raise InvalidArgumentError(
                "Unable to create search attributes: cannot have more than 0 search attribute of"
                " type Unspecified."
            )
        types[name] = ValueType(number)
