"""A node that is asked for a namespace of which it has not heard reads before it refuses."""

import asyncio
from typing import cast

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NamespaceNotFoundError
from perdure.persistence.ports import NamespaceRow
from perdure.rpc.handler import RequestContext
from perdure.rpc.internode.learning import learning
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.ids import SystemIds

START = wf.StartWorkflowExecutionRequest(namespace="new")
RESPONSE = wf.StartWorkflowExecutionResponse(run_id="run")
CONTEXT = cast(RequestContext, None)


class Node:
    """A node whose handler knows of a namespace what its registry knows."""

    def __init__(self) -> None:
        self.reads = 0
        self.calls = 0
        self.rows: list[NamespaceRow] = []
        clock = ManualClock()
        self.registry = NamespaceRegistry(
            metadata=self,  # type: ignore[arg-type]
            clock=clock,
            ids=SystemIds(clock=clock),
        )
        self.handler = learning({"/start": self._start}, self.registry)["/start"]

    async def list_namespaces(self) -> list[NamespaceRow]:
        self.reads += 1
        await asyncio.sleep(0)
        return self.rows

    async def _start(
        self, _request: wf.StartWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.StartWorkflowExecutionResponse:
        self.calls += 1
        await asyncio.sleep(0)
        if self.registry.find_id("id") is None:
            raise NamespaceNotFoundError("id")
        return RESPONSE


async def test_many_calls_for_a_new_namespace_make_one_read() -> None:
    node = Node()
    await node.registry.refresh()
    # As soon as it has read, another node makes a namespace and lets requests for it through.
    node.rows.append(NamespaceRow("id", "new", 1, b""))
    answers = await asyncio.gather(*(node.handler(START, CONTEXT) for _ in range(20)))
    assert answers == [RESPONSE] * 20
    assert node.reads == 2
    assert await node.handler(START, CONTEXT) == RESPONSE
    assert (node.reads, node.calls) == (2, 41)


async def test_a_namespace_that_is_gone_is_refused_once() -> None:
    node = Node()
    with pytest.raises(NamespaceNotFoundError) as refused:
        await node.handler(START, CONTEXT)
    assert refused.value.namespace == "id"
    assert (node.reads, node.calls) == (1, 1)
