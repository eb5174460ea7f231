"""Requests that are refused: a table for each RPC of code, message and details."""

from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice import v1 as wf

from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.rpc import SERVICES, build, call, call_path
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_LONG = "x" * 1001
_RUN_ID = "01234567-89ab-7def-8123-456789abcdef"
_NEGATIVE = {"seconds": -1}
_Cases = dict[str, dict[str, Any]]
_Rpc = tuple[type[Message], type[Message]]

_NAMESPACES: _Cases = {
    "no namespace": {"namespace": ""},
    "unknown namespace": {"namespace": "no-such-namespace"},
}
_EXECUTIONS: _Cases = {
    "no execution": {"workflow_execution": None},
    "no workflow id": {"workflow_execution": {"run_id": _RUN_ID}},
    "long workflow id": {"workflow_execution": {"workflow_id": _LONG}},
    "bad run id": {"workflow_execution": {"workflow_id": "w", "run_id": "nonsense"}},
}
_STARTS: _Cases = {
    "no workflow id": {"workflow_id": ""},
    "long workflow id": {"workflow_id": _LONG},
    "no type": {"workflow_type": None},
    "empty type": {"workflow_type": {"name": ""}},
    "long type": {"workflow_type": {"name": _LONG}},
    "no queue": {"task_queue": None},
    "empty queue": {"task_queue": {"name": ""}},
    "long queue": {"task_queue": {"name": _LONG}},
    "reserved queue": {"task_queue": {"name": "/_sys/queue/1"}},
    "sticky queue": {"task_queue": {"name": "sticky", "kind": "TASK_QUEUE_KIND_STICKY"}},
    "long request id": {"request_id": _LONG},
    "negative execution timeout": {"workflow_execution_timeout": _NEGATIVE},
    "negative run timeout": {"workflow_run_timeout": _NEGATIVE},
    "negative task timeout": {"workflow_task_timeout": _NEGATIVE},
    "small backoff coefficient": {"retry_policy": {"backoff_coefficient": 0.9}},
    "negative initial interval": {"retry_policy": {"initial_interval": _NEGATIVE}},
    "negative maximum interval": {"retry_policy": {"maximum_interval": _NEGATIVE}},
    "maximum below initial": {
        "retry_policy": {"initial_interval": {"seconds": 9}, "maximum_interval": {"seconds": 3}}
    },
    "negative attempts": {"retry_policy": {"maximum_attempts": -1}},
    "bad cron": {"cron_schedule": "never"},
    "cron with delay": {"cron_schedule": "* * * * *", "workflow_start_delay": {"seconds": 1}},
    "negative delay": {"workflow_start_delay": _NEGATIVE},
    "unknown search attribute": {"search_attributes": {"indexed_fields": {"Nope": Payload()}}},
    "long summary": {"user_metadata": {"summary": {"data": b"x" * 401}}},
    "long details": {"user_metadata": {"details": {"data": b"x" * 20_001}}},
    "memo over the limit": {"memo": {"fields": {"a": {"data": b"x" * 2_200_000}}}},
    "input over the limit": {"input": {"payloads": [{"data": b"x" * 2_200_000}]}},
    "too many links": {"links": [{"batch_job": {"job_id": "j"}}] * 11},
}


async def _table(
    record: Recording, env: ScenarioEnv, request: Message, answer: type[Message], cases: _Cases
) -> None:
    """Sends the request once for each case, with the fields that the case replaces."""
    for name, fields in cases.items():
        changed = type(request)()
        changed.CopyFrom(request)
        for field in fields:
            changed.ClearField(field)
        changed.MergeFrom(type(request)(**fields))
        await record.call(name, call(env, changed, answer), show=lambda _: "OK")


@scenario
async def invalid_start(env: ScenarioEnv) -> Recording:
    """StartWorkflowExecution: what is refused, and how."""
    record = env.recording()
    eager: _Cases = {
        "eager with cron": {"cron_schedule": "* * * * *", "request_eager_execution": True},
        "eager with delay": {
            "workflow_start_delay": {"seconds": 1},
            "request_eager_execution": True,
        },
    }
    cases = _NAMESPACES | _STARTS | eager
    for number, (name, fields) in enumerate(cases.items()):
        request = Driver(env, workflow=f"wf-{number}").start_request()
        await _table(record, env, request, wf.StartWorkflowExecutionResponse, {name: fields})
    return record


@scenario
async def invalid_signal_with_start(env: ScenarioEnv) -> Recording:
    """SignalWithStartWorkflowExecution: what is refused, and how."""
    record = env.recording()
    own: _Cases = {
        "no signal": {"signal_name": ""},
        "long signal": {"signal_name": _LONG},
        "signal input over the limit": {"signal_input": {"payloads": [{"data": b"x" * 2_200_000}]}},
    }
    for number, (name, fields) in enumerate((_NAMESPACES | _STARTS | own).items()):
        driver = Driver(env, workflow=f"wf-{number}")
        request = build(
            wf.SignalWithStartWorkflowExecutionRequest,
            namespace=NAMESPACE,
            workflow_id=driver.workflow_id,
            workflow_type={"name": "Conformance"},
            task_queue={"name": driver.queue},
            signal_name="s",
        )
        answer = wf.SignalWithStartWorkflowExecutionResponse
        await _table(record, env, request, answer, {name: fields})
    return record


@scenario
async def invalid_signal(env: ScenarioEnv) -> Recording:
    """SignalWorkflowExecution: what is refused, and how."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    request = build(
        wf.SignalWorkflowExecutionRequest,
        namespace=NAMESPACE,
        workflow_execution=driver.execution(),
        signal_name="s",
    )
    own: _Cases = {
        "no signal": {"signal_name": ""},
        "long signal": {"signal_name": _LONG},
        "long request id": {"request_id": _LONG},
        "input over the limit": {"input": {"payloads": [{"data": b"x" * 2_200_000}]}},
    }
    cases = _NAMESPACES | _EXECUTIONS | own
    await _table(record, env, request, wf.SignalWorkflowExecutionResponse, cases)
    await driver.terminate()
    return record


@scenario
async def invalid_cancel(env: ScenarioEnv) -> Recording:
    """RequestCancelWorkflowExecution: what is refused, and how."""
    record = env.recording()
    request = build(
        wf.RequestCancelWorkflowExecutionRequest,
        namespace=NAMESPACE,
        workflow_execution={"workflow_id": env.name("missing")},
    )
    own: _Cases = {"long request id": {"request_id": _LONG}, "long reason": {"reason": _LONG}}
    cases = _NAMESPACES | _EXECUTIONS | own
    await _table(record, env, request, wf.RequestCancelWorkflowExecutionResponse, cases)
    return record


@scenario
async def invalid_terminate(env: ScenarioEnv) -> Recording:
    """TerminateWorkflowExecution: what is refused, and how."""
    record = env.recording()
    request = build(
        wf.TerminateWorkflowExecutionRequest,
        namespace=NAMESPACE,
        workflow_execution={"workflow_id": env.name("missing")},
    )
    own: _Cases = {
        "bad first run": {"first_execution_run_id": "nonsense"},
        "long reason": {"reason": _LONG},
    }
    cases = _NAMESPACES | _EXECUTIONS | own
    await _table(record, env, request, wf.TerminateWorkflowExecutionResponse, cases)
    return record


@scenario
async def invalid_reads(env: ScenarioEnv) -> Recording:
    """Describe, query and the two history reads: what is refused, and how."""
    record = env.recording()
    where = {"namespace": NAMESPACE, "execution": {"workflow_id": env.name("missing")}}
    requests: dict[str, tuple[Message, type[Message]]] = {
        "describe": (
            build(wf.DescribeWorkflowExecutionRequest, **where),
            wf.DescribeWorkflowExecutionResponse,
        ),
        "query": (
            build(wf.QueryWorkflowRequest, **where, query={"query_type": "q"}),
            wf.QueryWorkflowResponse,
        ),
        "history": (
            build(wf.GetWorkflowExecutionHistoryRequest, **where),
            wf.GetWorkflowExecutionHistoryResponse,
        ),
        "reverse": (
            build(wf.GetWorkflowExecutionHistoryReverseRequest, **where),
            wf.GetWorkflowExecutionHistoryReverseResponse,
        ),
        "reset sticky": (
            build(wf.ResetStickyTaskQueueRequest, **where),
            wf.ResetStickyTaskQueueResponse,
        ),
    }
    executions = {
        name: {"execution": fields["workflow_execution"]} for name, fields in _EXECUTIONS.items()
    }
    for kind, (request, answer) in requests.items():
        cases = {f"{kind}: {name}": case for name, case in (_NAMESPACES | executions).items()}
        await _table(record, env, request, answer, cases)
    return record


@scenario
async def invalid_polls(env: ScenarioEnv) -> Recording:
    """The two polls: what is refused, and how."""
    record = env.recording()
    requests: dict[str, _Rpc] = {
        "workflow": (wf.PollWorkflowTaskQueueRequest, wf.PollWorkflowTaskQueueResponse),
        "activity": (wf.PollActivityTaskQueueRequest, wf.PollActivityTaskQueueResponse),
    }
    queues: _Cases = {
        "no queue": {"task_queue": None},
        "empty queue": {"task_queue": {"name": ""}},
        "long queue": {"task_queue": {"name": _LONG}},
        "reserved queue": {"task_queue": {"name": "/_sys/queue/x"}},
        "long identity": {"identity": _LONG},
    }
    for kind, (request, answer) in requests.items():
        cases = {f"{kind}: {name}": case for name, case in (_NAMESPACES | queues).items()}
        queue = {"name": env.name("queue")}
        await _table(
            record, env, build(request, namespace=NAMESPACE, task_queue=queue), answer, cases
        )
    return record


@scenario
async def invalid_task_answers(env: ScenarioEnv) -> Recording:
    """Every answer to a task: without a token, with nonsense, in another namespace."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    task = await driver.poll()
    answers: dict[str, _Rpc] = {
        "completed": (
            wf.RespondWorkflowTaskCompletedRequest,
            wf.RespondWorkflowTaskCompletedResponse,
        ),
        "failed": (wf.RespondWorkflowTaskFailedRequest, wf.RespondWorkflowTaskFailedResponse),
        "query": (wf.RespondQueryTaskCompletedRequest, wf.RespondQueryTaskCompletedResponse),
        "activity completed": (
            wf.RespondActivityTaskCompletedRequest,
            wf.RespondActivityTaskCompletedResponse,
        ),
        "activity failed": (
            wf.RespondActivityTaskFailedRequest,
            wf.RespondActivityTaskFailedResponse,
        ),
        "activity canceled": (
            wf.RespondActivityTaskCanceledRequest,
            wf.RespondActivityTaskCanceledResponse,
        ),
        "heartbeat": (
            wf.RecordActivityTaskHeartbeatRequest,
            wf.RecordActivityTaskHeartbeatResponse,
        ),
    }
    cases: _Cases = _NAMESPACES | {
        "no token": {"task_token": b""},
        "nonsense token": {"task_token": b"nonsense"},
        "zeros": {"task_token": b"\x00" * 40},
        "long identity": {"identity": _LONG},
    }
    for kind, (request, answer) in answers.items():
        named = {f"{kind}: {name}": case for name, case in cases.items()}
        if kind == "query":
            named.pop("query: long identity")
        base = build(request, namespace=NAMESPACE, task_token=task.task_token)
        await _table(record, env, base, answer, named)
    await driver.terminate()
    return record


@scenario
async def invalid_by_id(env: ScenarioEnv) -> Recording:
    """Activities by id: workflow, run or activity that are not there."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    answers: dict[str, _Rpc] = {
        "completed": (
            wf.RespondActivityTaskCompletedByIdRequest,
            wf.RespondActivityTaskCompletedByIdResponse,
        ),
        "failed": (
            wf.RespondActivityTaskFailedByIdRequest,
            wf.RespondActivityTaskFailedByIdResponse,
        ),
        "canceled": (
            wf.RespondActivityTaskCanceledByIdRequest,
            wf.RespondActivityTaskCanceledByIdResponse,
        ),
        "heartbeat": (
            wf.RecordActivityTaskHeartbeatByIdRequest,
            wf.RecordActivityTaskHeartbeatByIdResponse,
        ),
    }
    cases: _Cases = _NAMESPACES | {
        "no workflow id": {"workflow_id": ""},
        "no activity id": {"activity_id": ""},
        "missing workflow": {"workflow_id": env.name("missing")},
        "missing run": {"run_id": _RUN_ID},
        "bad run id": {"run_id": "nonsense"},
        "missing activity": {},
    }
    for kind, (request, answer) in answers.items():
        base = build(request, namespace=NAMESPACE, workflow_id=driver.workflow_id, activity_id="a")
        named = {f"{kind}: {name}": case for name, case in cases.items()}
        await _table(record, env, base, answer, named)
    await driver.terminate()
    return record


@scenario
async def broken_bytes(env: ScenarioEnv) -> Recording:
    """Requests that are not protobuf, and a method that does not exist."""
    record = env.recording()
    service = SERVICES["workflow"].full_name
    for method in ("StartWorkflowExecution", "PollWorkflowTaskQueue", "GetSystemInfo"):
        for name, body in {"cut": b"\x0a\x7f", "wrong type": b"\x0f\xff\xff"}.items():
            path = f"/{service}/{method}"
            answer = call_path(env, path, body, wf.GetSystemInfoResponse, timeout=5.0)
            await record.call(f"{method}: {name}", answer, show=lambda _: "OK")
    text = build(
        wf.StartWorkflowExecutionRequest,
        namespace=NAMESPACE,
        workflow_id=env.name("utf8"),
        input=payloads("x"),
    ).SerializeToString()
    broken = text.replace(b"utf8", b"\xff\xfe\xfd\xfc")
    path = f"/{service}/StartWorkflowExecution"
    started = call_path(env, path, broken, wf.StartWorkflowExecutionResponse, timeout=5.0)
    await record.call("text that is not UTF-8", started)
    for path in (f"/{service}/NoSuchMethod", "/no.such.Service/Method"):
        answer = call_path(env, path, b"", wf.GetSystemInfoResponse, timeout=5.0)
        await record.call(path, answer)
    return record
