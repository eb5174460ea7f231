"""The comparison itself: it sees differences, aligns deviations, and hides nothing."""

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent

from conformance.compare import Difference, differing, judge, matches
from conformance.deviations import Deviation
from conformance.normalise import Normaliser
from conformance.recording import pretty

FIRST = "01234567-89ab-7def-8123-456789abcdef"
SECOND = "01234567-89ab-7def-8123-456789abcde0"


def test_one_id_is_one_placeholder() -> None:
    """The same id gives the same placeholder, another id another one."""
    normaliser = Normaliser(nonce="abcd1234")
    one = normaliser.message(WorkflowExecution(workflow_id="wf-abcd1234", run_id=FIRST))
    again = normaliser.text(f"RunId: {FIRST}.")
    two = normaliser.message(WorkflowExecution(run_id=SECOND))
    assert one == {"workflow_id": "wf", "run_id": "<run 1>"}
    assert again == "RunId: <run 1>."
    assert two == {"run_id": "<run 2>"}


def test_events_without_time_show_it() -> None:
    """A transient event, which has neither time nor task id, is told from a written one."""
    normaliser = Normaliser(nonce="abcd1234")
    written = HistoryEvent(event_id=1, event_time=Timestamp(seconds=5), task_id=9)
    assert normaliser.message(written) == {"id": 1, "type": "UNSPECIFIED"}
    transient = normaliser.message(HistoryEvent(event_id=1))
    assert transient["event_time"] == transient["task_id"] == "<missing>"


def test_leaves_that_differ_are_named() -> None:
    """Changed, missing and additional values are each one difference with its path."""
    expected = {"a": [1, {"b": 2}], "c": 3}
    actual = {"a": [1, {"b": 4}, 5], "d": 3}
    assert list(differing(expected, actual)) == [
        Difference("a/1/b", 2, 4),
        Difference("a/2", "<absent>", 5),
        Difference("c", 3, "<absent>"),
        Difference("d", "<absent>", 3),
    ]


def test_deviations_explain_only_their_path() -> None:
    """A deviation covers its path and what is below it, in its scenario only."""
    deviation = Deviation("one", "a/*/b", "reason")
    expected, actual = {"a": [{"b": {"c": 1}, "d": 1}]}, {"a": [{"b": {"c": 2}, "d": 2}]}
    verdict = judge("one", expected, actual, [deviation])
    assert verdict.unexplained == [Difference("a/0/d", 1, 2)]
    assert verdict.used == {deviation}
    assert len(judge("two", expected, actual, [deviation]).unexplained) == 2


def test_patterns() -> None:
    """`*` is one part of a path, `**` any number."""
    assert matches("**/x", "a/b/x")
    assert matches("a/*/x", "a/b/x/y")
    assert not matches("a/*/x", "a/b/c/x")


def test_short_values_stay_on_a_line() -> None:
    """Pretty JSON breaks only what does not fit."""
    assert pretty({"a": [1, 2]}) == '{"a": [1, 2]}'
    assert pretty({"a": "x" * 60, "b": "y" * 60}).count("\n") == 3
