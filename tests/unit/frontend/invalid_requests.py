"""Requests that are refused for their form, with the real server's code and text.

A family is an RPC, a request that is sound, and defects in the order in which the real server
notices them: a request with two defects gets the answer of the one that stands first. The table
needs nothing but the namespace `default` and the search attributes `CUSTOM_ATTRIBUTES`, so it can
be sent to any server.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.deployment.v1.message_pb2 import WorkerDeploymentOptions
from temporalio.api.filter.v1.message_pb2 import StartTimeFilter, StatusFilter
from temporalio.api.operatorservice.v1 import request_response_pb2 as op
from temporalio.api.query.v1.message_pb2 import WorkflowQuery
from temporalio.api.replication.v1.message_pb2 import ClusterReplicationConfig
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code

CUSTOM_ATTRIBUTES = {
    "MyText": 1,
    "MyKeyword": 2,
    "MyInt": 3,
    "MyDouble": 4,
    "MyBool": 5,
    "MyTime": 6,
    "MyList": 7,
}

INVALID, MISSING = Code.INVALID_ARGUMENT, Code.NOT_FOUND
LONG = "a" * 1_001
MEBIBYTE = 1 << 20
NO_NAMESPACE = "no-such-namespace"


class InvalidRequest(NamedTuple):
    """A request and what it is answered with."""

    name: str
    rpc: str
    request: Message
    code: Code
    message: str


class Defect(NamedTuple):
    """Fields that spoil a request; None unsets one."""

    name: str
    fields: Mapping[str, Any]
    message: str
    code: Code = INVALID


class Family(NamedTuple):
    """An RPC, a sound request, and what can be wrong with it, in the order of precedence."""

    rpc: str
    sound: Mapping[str, Any]
    defects: tuple[Defect, ...]

    def request(self, *defects: Defect) -> Message:
        """Returns the request with some defects."""
        fields = dict(self.sound)
        for defect in defects:
            fields.update(defect.fields)
        module = wf if hasattr(wf, f"{self.rpc}Request") else op
        kind = getattr(module, f"{self.rpc}Request")
        made: Message = kind(**{key: value for key, value in fields.items() if value is not None})
        return made


def all_invalid_requests() -> Iterator[InvalidRequest]:
    """Yields every defect alone, and all pairs that can be wrong at once."""
    for family in FAMILIES:
        for defect in family.defects:
            yield InvalidRequest(
                f"{family.rpc}: {defect.name}",
                family.rpc,
                family.request(defect),
                defect.code,
                defect.message,
            )
        for first, second in combinations(family.defects, 2):
            shared = first.fields.keys() & second.fields.keys()
            if shared or not first.fields or not second.fields:
                continue
            request = family.request(first, second)
            if request.ByteSize() < 3 * MEBIBYTE:
                yield InvalidRequest(
                    f"{family.rpc}: {first.name} and {second.name}",
                    family.rpc,
                    request,
                    first.code,
                    first.message,
                )


def _seconds(count: int, nanos: int = 0) -> Duration:
    return Duration(seconds=count, nanos=nanos)


def _json(text: str, encoding: str = "json/plain") -> common.Payload:
    return common.Payload(metadata={"encoding": encoding.encode()}, data=text.encode())


def _attributes(**values: common.Payload) -> dict[str, Any]:
    return {"search_attributes": common.SearchAttributes(indexed_fields=values)}


def _run(workflow_id: str, run_id: str = "") -> common.WorkflowExecution:
    return common.WorkflowExecution(workflow_id=workflow_id, run_id=run_id)


_BIG = common.Payload(data=b"a" * (2 * MEBIBYTE))
_BIG_PAYLOADS = common.Payloads(payloads=[_BIG])
_LINK = common.Link(
    workflow_event=common.Link.WorkflowEvent(namespace="n", workflow_id="w", run_id="r")
)
_LONG_LINK = common.Link(
    workflow_event=common.Link.WorkflowEvent(namespace="n", workflow_id="w" * 4_000, run_id="r")
)

_NAMESPACE_DEFECTS = (
    Defect("no namespace", {"namespace": None}, "Namespace is empty."),
    Defect("long namespace", {"namespace": LONG}, "Namespace length exceeds limit."),
    Defect(
        "unknown namespace",
        {"namespace": NO_NAMESPACE},
        f"Namespace {NO_NAMESPACE} is not found.",
        MISSING,
    ),
)


def _execution_defects(field: str) -> tuple[Defect, ...]:
    return (
        Defect("no execution", {field: None}, "Execution is not set on request."),
        Defect("no workflow id", {field: _run("", "zz")}, "WorkflowId is not set on request."),
        Defect("bad run id", {field: _run("w", "zz")}, "Invalid RunId."),
        Defect("long run id", {field: _run("w", LONG)}, "Invalid RunId."),
    )


_LINK_DEFECTS = (
    Defect(
        "many links",
        {"links": [_LINK] * 11},
        "cannot attach more than 10 links per request, got 11",
    ),
    Defect("long link", {"links": [_LONG_LINK]}, "link exceeds allowed size of 4000, got 4012"),
    Defect("empty link", {"links": [common.Link()]}, "unsupported link variant"),
    Defect(
        "link without namespace",
        {"links": [common.Link(workflow_event=common.Link.WorkflowEvent(workflow_id="w"))]},
        "workflow event link must not have an empty namespace field",
    ),
    Defect(
        "link without workflow",
        {"links": [common.Link(workflow_event=common.Link.WorkflowEvent(namespace="n"))]},
        "workflow event link must not have an empty workflow ID field",
    ),
    Defect(
        "link without run",
        {
            "links": [
                common.Link(
                    workflow_event=common.Link.WorkflowEvent(namespace="n", workflow_id="w")
                )
            ]
        },
        "workflow event link must not have an empty run ID field",
    ),
    Defect(
        "link without job",
        {"links": [common.Link(batch_job=common.Link.BatchJob())]},
        "batch job link must not have an empty job ID",
    ),
)

_QUEUE_DEFECTS = (
    Defect("no task queue", {"task_queue": None}, "taskQueue is not set"),
    Defect("nameless task queue", {"task_queue": TaskQueue()}, "missing task queue name"),
    Defect(
        "long task queue", {"task_queue": TaskQueue(name=LONG)}, "taskQueue length exceeds limit"
    ),
    Defect(
        "reserved task queue",
        {"task_queue": TaskQueue(name="/_sys/a/1")},
        "task queue name cannot start with reserved prefix /_sys/",
    ),
)


def _retry(message: str, **fields: Any) -> Defect:
    return Defect(
        f"retry policy with {', '.join(fields)}",
        {"retry_policy": common.RetryPolicy(**fields)},
        message,
    )


_RETRY_DEFECTS = (
    _retry(
        "invalid InitialInterval set on retry policy: negative duration",
        initial_interval=_seconds(-1),
    ),
    _retry("BackoffCoefficient cannot be less than 1 on retry policy.", backoff_coefficient=0.5),
    _retry(
        "invalid MaximumInterval set on retry policy: negative duration",
        maximum_interval=_seconds(-1),
    ),
    _retry(
        "MaximumInterval cannot be less than InitialInterval on retry policy.",
        initial_interval=_seconds(5),
        maximum_interval=_seconds(2),
    ),
    _retry("MaximumAttempts cannot be negative on retry policy.", maximum_attempts=-1),
    _retry("Invalid timeout type value: Foo.", non_retryable_error_types=["TemporalTimeout:Foo"]),
)

_DELAY_DEFECT = Defect(
    "negative delay",
    {"workflow_start_delay": _seconds(-1)},
    "An invalid WorkflowStartDelaySeconds is set on request. cause: negative duration",
)

_TIMEOUT_DEFECTS = (
    Defect(
        "negative execution timeout",
        {"workflow_execution_timeout": _seconds(-1)},
        "An invalid WorkflowExecutionTimeoutSeconds is set on request. cause: negative duration",
    ),
    Defect(
        "crooked run timeout",
        {"workflow_run_timeout": _seconds(1, -5)},
        "An invalid WorkflowRunTimeoutSeconds is set on request."
        " cause: duration has seconds and nanos with different signs",
    ),
    Defect(
        "negative task timeout",
        {"workflow_task_timeout": _seconds(0, -5)},
        "An invalid WorkflowTaskTimeoutSeconds is set on request. cause: negative duration",
    ),
)

_POLICY_DEFECTS = (
    Defect(
        "two policies that terminate",
        {"workflow_id_reuse_policy": 4, "workflow_id_conflict_policy": 1},
        "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be"
        " used together with a WorkflowIDConflictPolicy",
    ),
    Defect(
        "policies that reject and terminate",
        {"workflow_id_reuse_policy": 3, "workflow_id_conflict_policy": 3},
        "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used"
        " together with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
    ),
)


def _wrong_value(name: str, type_name: str, payload: common.Payload, shown: str) -> Defect:
    return Defect(
        f"{name} that is {shown}",
        _attributes(**{name: payload}),
        f"invalid value for search attribute {name} of type {type_name}: {shown}",
    )


_ATTRIBUTE_DEFECTS = (
    Defect(
        "unknown search attribute",
        _attributes(Nope=_json("1"), WorkflowId=_json("1")),
        "Namespace default has no mapping defined for search attribute Nope",
    ),
    Defect(
        "system search attribute",
        _attributes(WorkflowId=_json('"a"')),
        "WorkflowId attribute can't be set in SearchAttributes",
    ),
    Defect(
        "derived search attribute",
        _attributes(TemporalWorkerDeployment=_json('"a"')),
        "TemporalWorkerDeployment attribute can't be set in SearchAttributes",
    ),
    _wrong_value("MyInt", "Int", _json('"x"'), "x"),
    _wrong_value("MyInt", "Int", _json("5.5"), "5.5"),
    _wrong_value("MyInt", "Int", _json("99999999999999999999"), "1e+20"),
    _wrong_value("MyInt", "Int", _json("[5, 6]"), "[5 6]"),
    _wrong_value("MyInt", "Int", _json("true"), "true"),
    _wrong_value("MyInt", "Int", _json("{}"), "map[]"),
    _wrong_value(
        "MyInt",
        "Int",
        _json("{"),
        'value from <metadata:{key:"encoding"  value:"json/plain"}  data:"{">',
    ),
    _wrong_value("MyInt", "Int", common.Payload(data=b"5"), 'value from <data:"5">'),
    _wrong_value("MyInt", "Int", _json("5", "binary/plain"), "[53]"),
    _wrong_value("MyKeyword", "Keyword", _json("5"), "5"),
    _wrong_value("MyKeyword", "Keyword", _json("1234567"), "1.234567e+06"),
    _wrong_value("MyKeyword", "Keyword", _json('["a", "b"]'), "[a b]"),
    _wrong_value(
        "MyKeyword",
        "Keyword",
        _json('{"b": true, "a": [1, null, "x"]}'),
        "map[a:[1 <nil> x] b:true]",
    ),
    _wrong_value("MyText", "Text", _json("5"), "5"),
    _wrong_value("MyDouble", "Double", _json('"x"'), "x"),
    _wrong_value("MyBool", "Bool", _json('"true"'), "true"),
    _wrong_value("MyTime", "Datetime", _json('"2020-01-01"'), "2020-01-01"),
    _wrong_value("MyTime", "Datetime", _json("5"), "5"),
    _wrong_value("MyList", "KeywordList", _json('"a"'), "a"),
    _wrong_value("MyList", "KeywordList", _json('["a", 1]'), "[a 1]"),
    _wrong_value("TemporalScheduledStartTime", "Datetime", _json('"x"'), "x"),
    Defect(
        "long search attribute",
        _attributes(MyKeyword=_json(f'"{"a" * 2_047}"')),
        "search attribute MyKeyword value size 2049 exceeds size limit 2048",
    ),
)

_PRIORITY_DEFECTS = (
    Defect(
        "negative priority",
        {"priority": common.Priority(priority_key=-1)},
        "priority key can't be negative",
    ),
    Defect(
        "long fairness key",
        {"priority": common.Priority(fairness_key="a" * 65)},
        "fairness key length exceeds limit",
    ),
    Defect(
        "negative weight",
        {"priority": common.Priority(fairness_weight=-1)},
        "must be greater than zero",
    ),
)

_SIZE_DEFECTS = (
    Defect("large memo", {"memo": common.Memo(fields={"a": _BIG})}, "Memo size exceeds limit."),
    Defect("large input", {"input": _BIG_PAYLOADS}, "Blob data size exceeds limit."),
)

_STARTED = {
    "namespace": "default",
    "workflow_id": "invalid-requests",
    "workflow_type": common.WorkflowType(name="type"),
    "task_queue": TaskQueue(name="queue"),
}

_WORKFLOW_ID_DEFECTS = (
    Defect("no workflow id", {"workflow_id": None}, "WorkflowId is not set on request."),
    Defect(
        "long workflow id",
        {"workflow_id": "é" * 600},
        "WorkflowId exceeds maximum allowed length (1200/1000)",
    ),
)

_INTERNAL_QUEUE_DEFECT = Defect(
    "internal task queue",
    {"task_queue": TaskQueue(name="temporal-sys-per-ns-tq")},
    "cannot use internal per-namespace task queue:temporal-sys-per-ns-tq",
)

_START = Family(
    "StartWorkflowExecution",
    _STARTED,
    (
        *_NAMESPACE_DEFECTS,
        *_WORKFLOW_ID_DEFECTS,
        *_RETRY_DEFECTS,
        Defect(
            "cron schedule and delay",
            {"cron_schedule": "* * * * *", "workflow_start_delay": _seconds(0)},
            "CronSchedule and WorkflowStartDelay may not be used together.",
        ),
        _DELAY_DEFECT,
        Defect("no type", {"workflow_type": None}, "WorkflowType is not set on request."),
        Defect(
            "long type",
            {"workflow_type": common.WorkflowType(name=LONG)},
            "WorkflowType length exceeds limit.",
        ),
        *_QUEUE_DEFECTS,
        _INTERNAL_QUEUE_DEFECT,
        *_TIMEOUT_DEFECTS,
        Defect("long request id", {"request_id": LONG}, "RequestId length exceeds limit."),
        *_POLICY_DEFECTS,
        *_ATTRIBUTE_DEFECTS,
        *_PRIORITY_DEFECTS,
        *_LINK_DEFECTS,
        *_SIZE_DEFECTS,
    ),
)

_SIGNAL_WITH_START = Family(
    "SignalWithStartWorkflowExecution",
    {**_STARTED, "signal_name": "signal"},
    (
        *_NAMESPACE_DEFECTS,
        *_WORKFLOW_ID_DEFECTS,
        Defect("no signal", {"signal_name": None}, "signal not set"),
        Defect(
            "long signal",
            {"signal_name": LONG},
            "signal name exceeds maximum allowed length (1001/1000)",
        ),
        Defect("no type", {"workflow_type": None}, "workflow type not set"),
        Defect(
            "long type",
            {"workflow_type": common.WorkflowType(name=LONG)},
            "workflow type name exceeds maximum allowed length (1001/1000)",
        ),
        *_QUEUE_DEFECTS,
        _INTERNAL_QUEUE_DEFECT,
        Defect(
            "long request id",
            {"request_id": LONG},
            "Request ID exceeds maximum allowed length (1001/1000)",
        ),
        *_TIMEOUT_DEFECTS,
        *_RETRY_DEFECTS,
        _DELAY_DEFECT,
        *_POLICY_DEFECTS,
        Defect(
            "conflict policy that fails",
            {"workflow_id_conflict_policy": 1},
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported"
            " for this operation.",
        ),
        *_ATTRIBUTE_DEFECTS[:2],
        *_PRIORITY_DEFECTS[:1],
        *_LINK_DEFECTS[:1],
        *_SIZE_DEFECTS,
        Defect("large signal", {"signal_input": _BIG_PAYLOADS}, "Blob data size exceeds limit."),
    ),
)

_WORKFLOWS = (
    Family(
        "SignalWorkflowExecution",
        {"namespace": "default", "workflow_execution": _run("w"), "signal_name": "signal"},
        (
            *_NAMESPACE_DEFECTS,
            *_execution_defects("workflow_execution"),
            Defect("no signal", {"signal_name": None}, "SignalName is not set on request."),
            Defect("long signal", {"signal_name": LONG}, "SignalName length exceeds limit."),
            Defect("long request id", {"request_id": LONG}, "RequestId length exceeds limit."),
            *_LINK_DEFECTS,
            Defect("large input", {"input": _BIG_PAYLOADS}, "Blob data size exceeds limit."),
        ),
    ),
    Family(
        "RequestCancelWorkflowExecution",
        {"namespace": "default", "workflow_execution": _run("w")},
        (*_NAMESPACE_DEFECTS, *_execution_defects("workflow_execution"), *_LINK_DEFECTS),
    ),
    Family(
        "TerminateWorkflowExecution",
        {"namespace": "default", "workflow_execution": _run("w")},
        (*_NAMESPACE_DEFECTS, *_execution_defects("workflow_execution"), *_LINK_DEFECTS),
    ),
    Family(
        "DescribeWorkflowExecution",
        {"namespace": "default", "execution": _run("w")},
        (*_NAMESPACE_DEFECTS, *_execution_defects("execution")),
    ),
    Family(
        "ResetStickyTaskQueue",
        {"namespace": "default", "execution": _run("w")},
        (*_NAMESPACE_DEFECTS, *_execution_defects("execution")),
    ),
    *(
        Family(
            rpc,
            {"namespace": "default", "execution": _run("w")},
            (
                *_NAMESPACE_DEFECTS,
                *_execution_defects("execution"),
                Defect("bad page token", {"next_page_token": b"zz"}, "Invalid NextPageToken."),
            ),
        )
        for rpc in ("GetWorkflowExecutionHistory", "GetWorkflowExecutionHistoryReverse")
    ),
    Family(
        "QueryWorkflow",
        {"namespace": "default", "execution": _run("w"), "query": WorkflowQuery(query_type="q")},
        (
            *_NAMESPACE_DEFECTS,
            *_execution_defects("execution"),
            Defect("no query", {"query": None}, "WorkflowQuery is not set on request."),
            Defect("no query type", {"query": WorkflowQuery()}, "QueryType is not set on request."),
            Defect(
                "large arguments",
                {"query": WorkflowQuery(query_type="q", query_args=_BIG_PAYLOADS)},
                "Blob data size exceeds limit.",
            ),
        ),
    ),
)

_LONG_IDENTITY = Defect("long identity", {"identity": LONG}, "Identity length exceeds limit.")
_VERSION_DEFECTS = (
    Defect(
        "long build id",
        {"worker_version_capabilities": common.WorkerVersionCapabilities(build_id="a" * 256)},
        "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.",
    ),
    Defect(
        "half a version",
        {"deployment_options": WorkerDeploymentOptions(build_id="a", worker_versioning_mode=2)},
        "Deployment name and build id must be set together.",
    ),
    Defect(
        "deployment with a dot",
        {
            "deployment_options": WorkerDeploymentOptions(
                deployment_name="a.b", build_id="c", worker_versioning_mode=2
            )
        },
        "worker deployment name cannot contain '.'",
    ),
)

_TOKEN_RPCS = (
    "RespondWorkflowTaskCompleted",
    "RespondWorkflowTaskFailed",
    "RespondActivityTaskCompleted",
    "RespondActivityTaskFailed",
    "RespondActivityTaskCanceled",
    "RecordActivityTaskHeartbeat",
    "RespondQueryTaskCompleted",
)
_BY_ID_RPCS = (
    "RespondActivityTaskCompletedById",
    "RespondActivityTaskFailedById",
    "RespondActivityTaskCanceledById",
)
_BY_ID = {"namespace": "default", "workflow_id": "w", "activity_id": "a"}
_NO_ACTIVITY = Defect("no activity id", {"activity_id": None}, "ActivityId is not set on request.")
_BAD_RUN = Defect("bad run id", {"run_id": "zz"}, "RunId is not valid UUID.")
_NO_WORKFLOW = Defect(
    "no workflow id", {"workflow_id": None}, "activity not found for ID: a", MISSING
)

_WORKERS = (
    Family(
        "PollWorkflowTaskQueue",
        {"namespace": "default", "task_queue": TaskQueue(name="queue")},
        (*_NAMESPACE_DEFECTS, _LONG_IDENTITY, *_VERSION_DEFECTS, *_QUEUE_DEFECTS),
    ),
    Family(
        "PollActivityTaskQueue",
        {"namespace": "default", "task_queue": TaskQueue(name="queue")},
        (*_NAMESPACE_DEFECTS, *_QUEUE_DEFECTS, _LONG_IDENTITY, *_VERSION_DEFECTS),
    ),
    *(
        Family(
            rpc,
            {"namespace": "default", "task_token": b"zz"},
            (
                _NAMESPACE_DEFECTS[2],
                Defect("no token", {"task_token": None}, "Task token not set on request."),
                Defect("bad token", {}, "Error deserializing task token."),
                Defect("zero token", {"task_token": b"\0"}, "Error deserializing task token."),
                Defect(
                    "token without namespace",
                    {"task_token": b"\x1a\x01w"},
                    "Namespace not set on request.",
                ),
            ),
        )
        for rpc in _TOKEN_RPCS
    ),
    *(
        Family(
            rpc,
            _BY_ID,
            (*_NAMESPACE_DEFECTS, _NO_ACTIVITY, _LONG_IDENTITY, _BAD_RUN, _NO_WORKFLOW),
        )
        for rpc in _BY_ID_RPCS
    ),
    Family(
        "RecordActivityTaskHeartbeatById",
        _BY_ID,
        (*_NAMESPACE_DEFECTS, _NO_ACTIVITY, _BAD_RUN, _NO_WORKFLOW),
    ),
    Family("ShutdownWorker", {"namespace": "default"}, _NAMESPACE_DEFECTS),
    Family(
        "DescribeTaskQueue",
        {"namespace": "default", "task_queue": TaskQueue(name="queue")},
        (*_NAMESPACE_DEFECTS, *_QUEUE_DEFECTS[:3]),
    ),
    Family(
        "ListTaskQueuePartitions",
        {"namespace": "default", "task_queue": TaskQueue(name="queue")},
        (*_NAMESPACE_DEFECTS, *_QUEUE_DEFECTS[:2]),
    ),
)

_RETENTION = "A valid retention period is not set on request."
_NAMELESS = (
    Defect("no namespace", {"namespace": None}, "Namespace not set on request."),
    Defect("long namespace", {"namespace": LONG}, "Namespace length exceeds limit."),
)
_UNKNOWN_NAMESPACE = _NAMESPACE_DEFECTS[2]

_NAMESPACES = (
    Family(
        "RegisterNamespace",
        {"namespace": "new", "workflow_execution_retention_period": _seconds(86_400)},
        (
            *_NAMELESS,
            Defect(
                "global",
                {"is_global_namespace": True},
                "Cannot register global namespace when not enabled",
            ),
            Defect("no retention", {"workflow_execution_retention_period": None}, _RETENTION),
            Defect(
                "short retention",
                {"workflow_execution_retention_period": _seconds(3_599)},
                _RETENTION,
            ),
            Defect(
                "taken name",
                {"namespace": "default"},
                'Namespace "default" already exists',
                Code.ALREADY_EXISTS,
            ),
            Defect(
                "unknown cluster",
                {"clusters": [ClusterReplicationConfig(cluster_name="zz")]},
                "Invalid cluster name: zz",
            ),
            Defect(
                "unknown active cluster", {"active_cluster_name": "zz"}, "Invalid cluster name: zz"
            ),
        ),
    ),
    Family(
        "DescribeNamespace",
        {"namespace": "default"},
        (
            *_NAMELESS,
            _UNKNOWN_NAMESPACE,
            Defect(
                "name and id",
                {"namespace": "default", "id": "0" * 32},
                "GetNamespace operation failed.  Both ID and Name specified in request.",
            ),
            Defect(
                "bad id", {"namespace": None, "id": "zz"}, "invalid UUID length: 2", Code.UNKNOWN
            ),
        ),
    ),
    Family("UpdateNamespace", {"namespace": "default"}, (*_NAMELESS, _UNKNOWN_NAMESPACE)),
    Family("DeprecateNamespace", {"namespace": "default"}, (*_NAMELESS, _UNKNOWN_NAMESPACE)),
)

_NO_OPERATOR_NAMESPACE = Defect(
    "no namespace", {"namespace": None}, "Namespace is not set on request."
)


def _adding(message: str, **types: int) -> Defect:
    return Defect(f"adding {types}", {"search_attributes": types}, message)


_OPERATOR = (
    Family(
        "AddSearchAttributes",
        {"namespace": "default", "search_attributes": {"New": 2}},
        (
            _UNKNOWN_NAMESPACE,
            _adding("SearchAttributes are not set on request."),
            _adding("Search attribute WorkflowId is reserved by system.", WorkflowId=99),
            _adding("Search attribute BuildIds is reserved by system.", BuildIds=2),
            _adding("Search attribute TemporalNew is reserved by system.", TemporalNew=2),
            _adding("Unknown search attribute type: 99.", New=99),
            _NO_OPERATOR_NAMESPACE,
            _adding(
                "Unable to create search attributes: cannot have more than 0 search attribute of"
                " type Unspecified.",
                New=0,
            ),
        ),
    ),
    Family(
        "RemoveSearchAttributes",
        {"namespace": "default", "search_attributes": ["New"]},
        (
            _UNKNOWN_NAMESPACE,
            Defect(
                "nothing", {"search_attributes": []}, "SearchAttributes are not set on request."
            ),
            _NO_OPERATOR_NAMESPACE,
            Defect(
                "a system attribute",
                {"search_attributes": ["WorkflowId"]},
                "Unable to remove non-custom search attributes: WorkflowId.",
            ),
        ),
    ),
    Family(
        "ListSearchAttributes",
        {"namespace": "default"},
        (_UNKNOWN_NAMESPACE, _NO_OPERATOR_NAMESPACE),
    ),
)

_BAD_TIMES = Defect(
    "crossed times",
    {
        "start_time_filter": StartTimeFilter(
            earliest_time=Timestamp(seconds=5), latest_time=Timestamp(seconds=4)
        )
    },
    "EarliestTime in StartTimeFilter should not be larger than LatestTime.",
)

_LISTINGS = (
    *(
        Family(
            rpc,
            {"namespace": "default"},
            (
                *_NAMESPACE_DEFECTS,
                Defect(
                    "bad query",
                    {"query": "Nope = 1"},
                    "invalid query: invalid search attribute: Nope",
                ),
            ),
        )
        for rpc in ("ListWorkflowExecutions", "CountWorkflowExecutions", "ScanWorkflowExecutions")
    ),
    Family(
        "ListOpenWorkflowExecutions", {"namespace": "default"}, (*_NAMESPACE_DEFECTS, _BAD_TIMES)
    ),
    Family(
        "ListClosedWorkflowExecutions",
        {"namespace": "default"},
        (
            *_NAMESPACE_DEFECTS,
            _BAD_TIMES,
            Defect(
                "open status",
                {"status_filter": StatusFilter(status=1)},
                "StatusFilter must be specified and must be not Running.",
            ),
        ),
    ),
    Family(
        "ListArchivedWorkflowExecutions",
        {"namespace": "default"},
        (
            *_NAMESPACE_DEFECTS,
            Defect("always", {}, "Cluster is not configured for visibility archival."),
        ),
    ),
)

FAMILIES: tuple[Family, ...] = (
    _START,
    _SIGNAL_WITH_START,
    *_WORKFLOWS,
    *_WORKERS,
    *_NAMESPACES,
    *_OPERATOR,
    *_LISTINGS,
)
