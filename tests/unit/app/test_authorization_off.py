"""Without an authorizer: nothing is loaded, nothing is in the way of a call."""

import subprocess
import sys
from collections.abc import Mapping

from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.authorization import authorized, for_nodes_only
from perdure.config.authorization import Authorization
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.clock import SystemClock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.tracing import NO_TRACING

LOADED = """
import sys
import perdure.app.node
print([name for name in sys.modules if name in {"jwt", "cryptography", "perdure.access"}])
"""


async def answer(_request: Message, _context: RequestContext) -> Message:
    return wf.GetSystemInfoResponse()


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


async def test_handlers_stay_as_they_are() -> None:
    handlers: Mapping[str, Handler] = {"/Service/Name": answer}
    clock, tasks = SystemClock(), TaskSet(on_error=fail)
    found = await authorized(
        handlers,
        Authorization(),
        metrics=Metrics(),
        namespaces=NamespaceRegistry.__new__(NamespaceRegistry),
        across_namespaces=True,
        clock=clock,
        tasks=tasks,
        tracer=NO_TRACING,
    )
    assert found is handlers
    assert for_nodes_only(handlers, Authorization()) is handlers
    assert len(tasks) == 0


def test_nothing_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
