"""Nonsense of every kind is sent to a running server: nothing crashes, and it works on."""

from collections.abc import Callable, Iterator

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.command.v1.message_pb2 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
)
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1.command_type_pb2 import (
    COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
)
from temporalio.api.enums.v1.workflow_pb2 import WORKFLOW_EXECUTION_STATUS_COMPLETED
from temporalio.api.failure.v1.message_pb2 import Failure
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.targets import RunningServer, dev_server, perdure_command
from integration.fuzzing import METHODS, Fuzzer
from perdure.rpc.methods import WORKFLOW_SERVICE, path_of

SECONDS = 1.0
"""A deadline that polls refuse, so that none waits."""
MEBIBYTE = 1 << 20
MASKED = "something went wrong"
FORESEEN = "(page-token)"
"""The one masked answer that is meant: the real server masks it too."""


class Client:
    """Sends bytes and takes whatever comes back."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.channel = grpc.insecure_channel(
            server.address, options=[("grpc.max_send_message_length", -1)]
        )

    def send(self, path: str, data: bytes) -> tuple[grpc.StatusCode, str]:
        """Returns the status of a call."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        try:
            call(data, timeout=SECONDS)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""

    def call(self, rpc: str, request: object, *, timeout: float = 30.0) -> object:
        """Returns the response of a call that must succeed."""
        response = getattr(wf, f"{rpc}Response")
        call: grpc.UnaryUnaryMultiCallable[bytes, object] = self.channel.unary_unary(
            path(rpc), response_deserializer=response.FromString
        )
        return call(request.SerializeToString(), timeout=timeout)  # type: ignore[attr-defined]

    def check_works(self, name: str) -> None:
        """Runs a whole workflow; AssertionError when the server has suffered."""
        assert self.server.process.poll() is None, self.server.log.read_text()[-4000:]
        started = start(f"sound-{name}", f"sound-{name}")
        self.call("StartWorkflowExecution", started)
        task = poll_workflow(self, started.task_queue.name)
        complete = Command(
            command_type=COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            complete_workflow_execution_command_attributes=(
                CompleteWorkflowExecutionCommandAttributes()
            ),
        )
        answer = wf.RespondWorkflowTaskCompletedRequest(
            namespace="default", task_token=task.task_token, commands=[complete]
        )
        self.call("RespondWorkflowTaskCompleted", answer)
        request = wf.DescribeWorkflowExecutionRequest(
            namespace="default", execution=task.workflow_execution
        )
        described = self.call("DescribeWorkflowExecution", request)
        assert isinstance(described, wf.DescribeWorkflowExecutionResponse)
        status = described.workflow_execution_info.status
        assert status == WORKFLOW_EXECUTION_STATUS_COMPLETED


def path(rpc: str) -> str:
    return path_of(WORKFLOW_SERVICE, rpc)


def start(workflow_id: str, queue: str) -> wf.StartWorkflowExecutionRequest:
    return wf.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=workflow_id,
        workflow_type=common.WorkflowType(name="type"),
        task_queue=TaskQueue(name=queue),
        workflow_id_conflict_policy=2,  # type: ignore[arg-type]
    )


def poll_workflow(client: Client, queue: str) -> wf.PollWorkflowTaskQueueResponse:
    request = wf.PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=queue))
    task = client.call("PollWorkflowTaskQueue", request)
    assert isinstance(task, wf.PollWorkflowTaskQueueResponse)
    return task


def open_tokens(client: Client, name: str) -> list[bytes]:
    """Returns tokens: of an open workflow task, of an answered one, of an open activity task."""
    first, second = f"w1-{name}", f"w2-{name}"
    client.call("StartWorkflowExecution", start(first, first))
    task = poll_workflow(client, first)
    schedule = ScheduleActivityTaskCommandAttributes(
        activity_id="a",
        activity_type=common.ActivityType(name="type"),
        task_queue=TaskQueue(name=first),
    )
    schedule.start_to_close_timeout.FromSeconds(600)
    command = Command(
        command_type=COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=schedule,
    )
    completed = client.call(
        "RespondWorkflowTaskCompleted",
        wf.RespondWorkflowTaskCompletedRequest(
            namespace="default", task_token=task.task_token, commands=[command]
        ),
    )
    assert isinstance(completed, wf.RespondWorkflowTaskCompletedResponse)
    request = wf.PollActivityTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=first))
    activity = client.call("PollActivityTaskQueue", request)
    assert isinstance(activity, wf.PollActivityTaskQueueResponse)
    client.call("StartWorkflowExecution", start(second, second))
    return [poll_workflow(client, second).task_token, task.task_token, activity.task_token]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("fuzz")
    flags = [f"--db-filename={folder / 'perdure.db'}"] if request.param == "sqlite" else []
    with dev_server(perdure_command(), flags=flags) as server:
        made = Client(server)
        yield made
        made.channel.close()
        log = server.log.read_text()
        assert "unexpected error" not in log, log[-4000:]


@pytest.fixture(scope="module")
def tokens(client: Client) -> list[bytes]:
    return open_tokens(client, "shared")


@settings(max_examples=400)
@given(seed=st.integers(0, 2**63))
def test_random_requests_are_answered(client: Client, tokens: list[bytes], seed: int) -> None:
    fuzzer = Fuzzer(seed, tokens)
    method = fuzzer.method()
    code, message = client.send(method.path, fuzzer.request(method))
    assert not (message.startswith(MASKED) and FORESEEN not in message), (method.path, message)
    assert code is not grpc.StatusCode.CANCELLED


@settings(max_examples=100)
@given(seed=st.integers(0, 2**63))
def test_random_answers_to_real_tasks_are_answered(client: Client, seed: int) -> None:
    fuzzer = Fuzzer(seed, open_tokens(client, str(seed)))
    for method in METHODS:
        if method.name.startswith(("Respond", "RecordActivity")):
            code, message = client.send(method.path, fuzzer.request(method))
            assert MASKED not in message, (method.path, message)
            assert code is not grpc.StatusCode.CANCELLED


@settings(max_examples=100)
@given(data=st.binary(max_size=200), index=st.integers(0, len(METHODS) - 1))
def test_random_bytes_are_answered(client: Client, data: bytes, index: int) -> None:
    _, message = client.send(METHODS[index].path, data)
    assert not (message.startswith(MASKED) and FORESEEN not in message)


def huge_payload() -> bytes:
    big = common.Payload(data=b"x" * (5 * MEBIBYTE))
    request = start("huge", "queue")
    request.input.payloads.append(big)
    return request.SerializeToString()


def deep_failure() -> bytes:
    request = wf.RespondWorkflowTaskFailedRequest(namespace="default", task_token=b"zz")
    nested = b""
    for _ in range(5_000):
        # Field 4 of Failure is its cause.
        nested = b"\x22" + _varint(len(nested)) + nested
    request.failure.MergeFrom(Failure(message="x"))
    return request.SerializeToString() + b"\x1a" + _varint(len(nested)) + nested


def many_commands() -> bytes:
    request = wf.RespondWorkflowTaskCompletedRequest(namespace="default", task_token=b"zz")
    request.commands.extend([Command()] * 500_000)
    return request.SerializeToString()


def long_query() -> bytes:
    text = "WorkflowId = 'a' OR " * 100_000
    return wf.ListWorkflowExecutionsRequest(namespace="default", query=text).SerializeToString()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


@pytest.mark.parametrize(
    ("rpc", "made", "codes"),
    [
        ("StartWorkflowExecution", huge_payload, {grpc.StatusCode.RESOURCE_EXHAUSTED}),
        ("RespondWorkflowTaskFailed", deep_failure, {grpc.StatusCode.INTERNAL}),
        ("RespondWorkflowTaskCompleted", many_commands, {grpc.StatusCode.INVALID_ARGUMENT}),
        ("ListWorkflowExecutions", long_query, {grpc.StatusCode.INVALID_ARGUMENT}),
    ],
)
def test_sizes_and_depths_are_refused(
    client: Client, rpc: str, made: Callable[[], bytes], codes: set[grpc.StatusCode]
) -> None:
    code, message = client.send(path(rpc), made())
    assert code in codes, message


def test_the_server_works_on(client: Client, tokens: list[bytes]) -> None:
    for number in range(3):
        client.check_works(str(number))
