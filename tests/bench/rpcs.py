"""The RPCs of the load generator: raw grpc.aio calls, bytes in and bytes out, counted."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"
POLL_TIMEOUT_S = 70.0
CALL_TIMEOUT_S = 30.0
METADATA = (("client-name", "temporal-python"), ("client-version", "1.35.0"))

HEALTH = "/grpc.health.v1.Health/Check"

Call = Callable[[bytes], Awaitable[bytes]]


class Traffic(NamedTuple):
    """What went over the wire: answered RPCs, and bytes of messages in each direction."""

    rpcs: int
    sent_bytes: int
    received_bytes: int

    def since(self, earlier: "Traffic") -> "Traffic":
        """The traffic between an earlier reading and this one."""
        return Traffic(*(now - then for now, then in zip(self, earlier, strict=True)))


class NotServing(Exception):
    """A server answers, and says that it cannot serve yet."""


class Rpcs:
    """The seven methods that a workflow needs, and DescribeNamespace to see that a server is up."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Bind the methods to a channel."""
        self._channel = channel
        self._rpcs = 0
        self._sent_bytes = 0
        self._received_bytes = 0
        self.describe_namespace = self._bind("DescribeNamespace", CALL_TIMEOUT_S)
        self.start = self._bind("StartWorkflowExecution", CALL_TIMEOUT_S)
        self.signal = self._bind("SignalWorkflowExecution", CALL_TIMEOUT_S)
        self.history = self._bind("GetWorkflowExecutionHistory", POLL_TIMEOUT_S)
        self.poll_workflow = self._bind("PollWorkflowTaskQueue", POLL_TIMEOUT_S)
        self.complete_workflow_task = self._bind("RespondWorkflowTaskCompleted", CALL_TIMEOUT_S)
        self.poll_activity = self._bind("PollActivityTaskQueue", POLL_TIMEOUT_S)
        self.complete_activity = self._bind("RespondActivityTaskCompleted", CALL_TIMEOUT_S)

    def traffic(self) -> Traffic:
        """All traffic so far."""
        return Traffic(self._rpcs, self._sent_bytes, self._received_bytes)

    async def check_serving(self) -> None:
        """Ask for the server's health.

        Raises:
            NotServing: It cannot serve.
        """
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(HEALTH)
        request = HealthCheckRequest(service=SERVICE).SerializeToString()
        answer = HealthCheckResponse.FromString(await check(request, timeout=CALL_TIMEOUT_S))
        if answer.status != HealthCheckResponse.SERVING:
            msg = "its health says that it does not serve"
            raise NotServing(msg)

    def _bind(self, method: str, timeout_s: float) -> Call:
        invoke: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            f"/{SERVICE}/{method}"
        )

        async def call(request: bytes) -> bytes:
            response: bytes = await invoke(request, timeout=timeout_s, metadata=METADATA)
            self._rpcs += 1
            self._sent_bytes += len(request)
            self._received_bytes += len(response)
            return response

        return call
