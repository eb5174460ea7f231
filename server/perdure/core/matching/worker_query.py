"""Which workers a query means: conditions on what their heartbeats say.

Rules that hold here: the grammar is that of visibility queries. What parses but cannot be answered
(an unknown name, a value of another type) fits no worker, as on the real server, and is no error.
"""

from collections.abc import Callable, Mapping
from typing import Final

from temporalio.api.enums.v1.common_pb2 import WorkerStatus
from temporalio.api.worker.v1.message_pb2 import WorkerHeartbeat

from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import timestamp_ns
from perdure.core.visibility.limits import QueryLimits
from perdure.core.visibility.syntax import (
    Column,
    Junction,
    Literal,
    Node,
    Parenthesis,
    Predicate,
    parse_syntax,
)
from perdure.core.visibility.values import parse_datetime

MAX_NESTING: Final = 100

_STATUS: Final = "status"
_NAMED_STATUS: Final = "WorkerStatus"


def _status(heartbeat: WorkerHeartbeat) -> str:
    name = WorkerStatus.Name(heartbeat.status).removeprefix("WORKER_STATUS_")
    return "".join(word.capitalize() for word in name.split("_"))


_TEXTS: Final[Mapping[str, Callable[[WorkerHeartbeat], str]]] = {
    "WorkerInstanceKey": lambda heartbeat: heartbeat.worker_instance_key,
    "WorkerIdentity": lambda heartbeat: heartbeat.worker_identity,
    "HostName": lambda heartbeat: heartbeat.host_info.host_name,
    "TaskQueue": lambda heartbeat: heartbeat.task_queue,
    "DeploymentName": lambda heartbeat: heartbeat.deployment_version.deployment_name,
    "BuildId": lambda heartbeat: heartbeat.deployment_version.build_id,
    "SdkName": lambda heartbeat: heartbeat.sdk_name,
    "SdkVersion": lambda heartbeat: heartbeat.sdk_version,
    _NAMED_STATUS: _status,
    _STATUS: _status,
}
_TIMES: Final[Mapping[str, str]] = {"StartTime": "start_time", "HeartbeatTime": "heartbeat_time"}
_OF_TEXTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "<>": lambda found, wanted: found != wanted,
    "STARTS_WITH": lambda found, wanted: found.startswith(wanted),
    "NOT STARTS_WITH": lambda found, wanted: not found.startswith(wanted),
}
_OF_TIMES: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "<>": lambda found, wanted: found != wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
}

WorkerFilter = Callable[[WorkerHeartbeat], bool]


class _Unanswerable(Exception):
    """A condition says nothing of workers."""


def worker_filter(query: str) -> WorkerFilter:
    """Returns what tells whether a worker is meant; an empty query means all.

    Raises:
        InvalidArgumentError: The query is not of the grammar.
    """
    if not query:
        return lambda _: True
    condition = _parse(query)

    def fits(heartbeat: WorkerHeartbeat) -> bool:
        try:
            return _holds(condition, heartbeat)
        except _Unanswerable:
            return False

    return fits


def _parse(query: str) -> Node:
    if not query.strip():
        raise InvalidArgumentError("malformed query: syntax error at position 1")
    if query.lstrip().lower().startswith(("where ", "select ")):
        raise InvalidArgumentError(f"invalid filter: {query}")
    try:
        tree = parse_syntax(query, QueryLimits())
    except InvalidArgumentError as error:
        text = error.message.removeprefix("invalid query: ")
        raise InvalidArgumentError(text.replace("malformed SQL query", "malformed query")) from None
    if tree.has_limit:
        raise InvalidArgumentError("operation is not supported: 'limit' clause")
    if tree.condition is None:
        raise InvalidArgumentError("operation is not supported: 'where' clause is missing")
    return tree.condition


def _holds(node: Node, heartbeat: WorkerHeartbeat, depth: int = 0) -> bool:
    if depth > MAX_NESTING:
        raise _Unanswerable
    match node:
        case Parenthesis(content):
            return _holds(content, heartbeat, depth + 1)
        case Junction(is_and, operands):
            # In order, and no further than needed: what comes after need not be answerable.
            for operand in operands:
                if _holds(operand, heartbeat, depth + 1) is not is_and:
                    return not is_and
            return is_and
        case Predicate(Column(name), operator, right):
            return _compare(name, operator, right, heartbeat)
        case _:
            raise _Unanswerable


def _compare(name: str, operator: str, right: tuple[Node, ...], heartbeat: WorkerHeartbeat) -> bool:
    name = _STATUS if name.lower() == _STATUS else name
    text_of, time_field = _TEXTS.get(name), _TIMES.get(name)
    if text_of is not None:
        found = text_of(heartbeat)
        if operator in ("IS NULL", "IS NOT NULL"):
            return (not found) is (operator == "IS NULL")
        compare = _OF_TEXTS.get(operator)
        wanted = _string(right)
        if compare is None or not wanted:
            raise _Unanswerable
        return compare(found, wanted)
    if time_field is None:
        raise _Unanswerable
    present = heartbeat.HasField(time_field)  # type: ignore[arg-type]
    if operator in ("IS NULL", "IS NOT NULL"):
        return present is not (operator == "IS NULL")
    moment = timestamp_ns(getattr(heartbeat, time_field))
    if operator in ("BETWEEN", "NOT BETWEEN"):
        low, high = (_time((bound,)) for bound in right)
        return present and (low <= moment <= high) is (operator == "BETWEEN")
    of_times = _OF_TIMES.get(operator)
    if of_times is None:
        raise _Unanswerable
    # A time that is missing counts as the epoch.
    return of_times(moment, _time(right))


def _string(right: tuple[Node, ...]) -> str:
    match right:
        case (Literal(text, is_string=True),):
            return text
        case _:
            raise _Unanswerable


def _time(right: tuple[Node, ...]) -> int:
    moment = parse_datetime(_string(right))
    if moment is None:
        raise _Unanswerable
    return moment
