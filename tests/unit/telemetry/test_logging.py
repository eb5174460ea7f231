"""Log lines: formats, levels, Temporal's tag names."""

import io
import json
import logging as stdlib_logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from perdure.config.static import LogFormat, LogLevel
from perdure.runtime.deterministic import ManualClock
from perdure.telemetry import logging
from perdure.telemetry.diagnostics import log_start


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = stdlib_logging.getLogger()
    before = (root.handlers[:], root.level)
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:], root.level = before


def configure(output: io.StringIO, level: LogLevel = "info", form: LogFormat = "json") -> None:
    logging.configure(level, form, output)


def test_json_has_the_real_tag_names(output: io.StringIO) -> None:
    configure(output)
    logging.get_logger("history").warning("slow", workflow_id="w", shard_id=3, queue_depth=1)
    line = json.loads(output.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "warn",
        "msg": "slow",
        "component": "history",
        "wf-id": "w",
        "shard-id": 3,
        "queue-depth": 1,
    }


def test_text_is_logfmt(output: io.StringIO) -> None:
    configure(output, form="text")
    logging.get_logger("history").info("hello there", run_id="r")
    assert 'level=info msg="hello there" component=history wf-run-id=r' in output.getvalue()


def test_pretty_has_no_colours_off_a_terminal(output: io.StringIO) -> None:
    configure(output, form="pretty")
    logging.get_logger("history").info("hello", run_id="r")
    assert "hello" in output.getvalue()
    assert "\x1b" not in output.getvalue()


@pytest.mark.parametrize("level", ["debug", "error", "never"])
def test_the_audit_log_has_no_level(output: io.StringIO, level: LogLevel) -> None:
    # Made before the log is set up, as what a server is put together from.
    audit = logging.get_audit_logger()
    configure(output, level)
    for _ in range(20):
        audit.bind(principal="ada").info("administrative call", namespace="orders")
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert len(lines) == 20
    del lines[0]["ts"]
    assert lines[0] == {
        "level": "info",
        "msg": "administrative call",
        "component": "audit",
        "principal": "ada",
        "wf-namespace": "orders",
    }


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("warn", 2), ("never", 0)])
def test_levels(output: io.StringIO, level: LogLevel, lines: int) -> None:
    configure(output, level)
    log = logging.get_logger("x")
    log.debug("a")
    log.warning("b")
    log.error("c")
    assert len(output.getvalue().splitlines()) == lines


def test_exceptions_are_written(output: io.StringIO) -> None:
    configure(output)
    try:
        raise RuntimeError("no such thing")
    except RuntimeError:
        logging.get_logger("x").exception("it failed")
    assert "RuntimeError: no such thing" in json.loads(output.getvalue())["exception"]


def test_libraries_log_the_same_way(output: io.StringIO) -> None:
    configure(output)
    stdlib_logging.getLogger("asyncio").warning("took %d s", 3)
    line = json.loads(output.getvalue())
    assert (line["level"], line["msg"]) == ("warn", "took 3 s")


def test_the_start_is_logged(output: io.StringIO) -> None:
    configure(output)
    log_start(
        logging.get_logger("server"),
        roles=["frontend"],
        store="in-memory",
        listeners={"grpc": "127.0.0.1:7233"},
        changed_settings={"limit.maxIDLength": 255},
    )
    start, setting = map(json.loads, output.getvalue().splitlines())
    assert (start["store"], start["grpc"]) == ("in-memory", "127.0.0.1:7233")
    assert (setting["key"], setting["value"]) == ("limit.maxIDLength", 255)


class Troubles:
    """A `TroubleObserver`."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, bool]] = []
        self.warnings: list[tuple[str, bool]] = []

    def error_logged(self, component: str, *, written: bool) -> None:
        self.errors.append((component, written))

    def warning_logged(self, component: str, *, written: bool) -> None:
        self.warnings.append((component, written))


def test_a_line_names_the_span_around_it(output: io.StringIO) -> None:
    configure(output)
    ids: list[tuple[str, str] | None] = [("ab" * 16, "cd" * 8), None]
    end = logging.observe(span_ids=lambda: ids.pop(0), troubles=Troubles())
    try:
        logging.get_logger("history").info("inside")
        logging.get_logger("history").info("outside")
    finally:
        end()
    logging.get_logger("history").info("when the server has stopped")
    inside, outside, after = map(json.loads, output.getvalue().splitlines())
    assert (inside["trace_id"], inside["span_id"]) == ("ab" * 16, "cd" * 8)
    assert "trace_id" not in outside
    assert "trace_id" not in after


def test_what_repeats_itself_is_counted_and_left_out(output: io.StringIO) -> None:
    clock = ManualClock()
    logging.configure("info", "json", output, clock)
    told = Troubles()
    end = logging.observe(span_ids=None, troubles=told)
    log = logging.get_logger("history")
    try:
        for number in range(20):
            log.error("it broke", number=number)
            log.warning("careful", number=number)
            log.warning("it broke")
            log.info("as ever")
            stdlib_logging.getLogger("library").warning("take care of %d", number)
            stdlib_logging.getLogger("library").error("number %d broke", number)
        log.error("something else broke")
        clock.advance(61.0)
        log.error("it broke", number=20)
        log.warning("careful", number=20)
        stdlib_logging.getLogger("library").error("number %d broke", 20)
    finally:
        end()
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    by_kind: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        by_kind.setdefault((line["level"], line["msg"].rstrip(" 0123456789")), []).append(line)
    for kind in (("error", "it broke"), ("warn", "careful")):
        assert [line["number"] for line in by_kind[kind]] == [0, 1, 2, 3, 4, 20]
        assert [line.get("left-out") for line in by_kind[kind]] == [None] * 5 + [15]
    theirs = [line for line in lines if line["msg"].startswith("number ")]
    assert [line.get("left-out") for line in theirs] == [None] * 5 + [15]
    assert len(by_kind["warn", "it broke"]) == 5, "errors of the sentence are another kind"
    assert len(by_kind["warn", "take care of"]) == 5
    assert len(by_kind["error", "something else broke"]) == 1
    assert len(by_kind["info", "as ever"]) == 20, "only trouble is limited"
    assert Counter(told.errors) == {
        ("history", True): 7,
        ("history", False): 15,
        ("library", True): 6,
        ("library", False): 15,
    }
    assert Counter(told.warnings) == {
        ("history", True): 11,
        ("history", False): 30,
        ("library", True): 5,
        ("library", False): 15,
    }


def test_faults_that_share_a_sentence_are_told_apart(output: io.StringIO) -> None:
    logging.configure("info", "json", output, ManualClock())
    for number in range(9):
        logging.get_logger("rpc").error("unexpected error", fault_id=str(number))
    assert len(output.getvalue().splitlines()) == 9
