"""Log lines: formats, levels, Temporal's tag names."""

import io
import json
import logging as stdlib_logging
from collections.abc import Iterator

import pytest
import structlog

from perdure.config.static import LogFormat, LogLevel
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
