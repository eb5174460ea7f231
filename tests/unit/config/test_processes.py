"""What each process of a host is told, and which configurations cannot run."""

from pathlib import Path
from typing import Any

import pytest

from perdure.app import composition
from perdure.config import file
from perdure.config.errors import ConfigError
from perdure.config.processes import CannotRun, Process, pick, plan
from perdure.config.static import InternodeListener, Node, ServerConfig
from perdure.membership.settings import MembershipSettings

POSTGRES = {"kind": "postgres", "dsn": "postgresql:///perdure"}
GROUPS = [
    {"name": "frontend", "roles": ["frontend"], "count": 2},
    {"name": "engine", "roles": ["history", "matching"]},
    {"name": "worker", "roles": ["worker"]},
]


def planned(**sections: Any) -> list[Process]:
    return plan(ServerConfig.model_validate(sections), host_name="db1")


def refusal(**sections: Any) -> str:
    with pytest.raises(CannotRun) as caught:
        planned(**sections)
    return str(caught.value)


def test_one_process_by_default() -> None:
    (process,) = planned()
    assert process.name == ""
    assert process.config.node.name == "db1"
    assert process.config.roles == ["frontend", "history", "matching", "worker"]
    assert not process.config.listeners.grpc.shared


def test_one_process_keeps_the_name_that_it_is_given() -> None:
    (process,) = planned(node={"name": "east-1"})
    assert process.config.node.name == "east-1"


def test_several_processes() -> None:
    processes = planned(
        store=POSTGRES,
        processes=GROUPS,
        metrics={"port": 9090},
        listeners={"internode": {"port": 7300, "advertised": "[::1]:8300"}},
    )
    assert [process.name for process in processes] == [
        *("frontend-0", "frontend-1", "engine-0", "worker-0")
    ]
    told = [process.config for process in processes]
    assert [config.node.name for config in told][:2] == ["db1/frontend-0", "db1/frontend-1"]
    assert told[2].roles == ["history", "matching"]
    assert [config.metrics and config.metrics.port for config in told] == [9090, 9091, 9092, 9093]
    internode = [config.listeners.internode for config in told]
    assert [listener.port for listener in internode] == [7300, 7301, 7302, 7303]
    assert [listener.address(listener.port) for listener in internode] == [
        *("[::1]:8300", "[::1]:8301", "[::1]:8302", "[::1]:8303")
    ]
    assert {config.listeners.grpc.port for config in told} == {7233}
    assert all(config.listeners.grpc.shared and not config.processes for config in told)


def test_free_ports_stay_free() -> None:
    processes = planned(
        store=POSTGRES,
        processes=GROUPS,
        metrics={"port": 0},
        listeners={"internode": {"port": 0, "host": "::", "advertised": "fd00::1"}},
    )
    for process in processes:
        assert process.config.metrics is not None
        assert process.config.metrics.port == 0
        assert process.config.listeners.internode.port == 0
        assert process.config.listeners.internode.address(4711) == "[fd00::1]:4711"


def test_a_lone_frontend_does_not_share_its_port() -> None:
    processes = planned(store=POSTGRES, processes=GROUPS[1:])
    assert not any(process.config.listeners.grpc.shared for process in processes)


def test_what_is_planned_can_be_planned_again() -> None:
    for process in planned(store=POSTGRES, processes=GROUPS):
        (again,) = plan(process.config, host_name="other")
        assert again.config == process.config


def test_picking_a_process() -> None:
    processes = planned(store=POSTGRES, processes=GROUPS)
    assert pick(processes, "engine-0") is processes[2]
    with pytest.raises(ConfigError, match=r'no process "engine" \(did you mean "engine-0"\?\)'):
        pick(processes, "engine")
    with pytest.raises(ConfigError, match="leave out --process"):
        pick(planned(), "engine")


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"processes": GROUPS}, "a memory store serves one process only"),
        ({"roles": ["frontend"]}, "a process without history, matching, worker cannot run on a"),
        (
            {"store": {"kind": "sqlite", "path": "x"}, "processes": GROUPS[2:]},
            "a process without frontend, history, matching cannot run on a sqlite store",
        ),
        (
            {"store": POSTGRES, "processes": GROUPS, "roles": ["frontend"]},
            "roles: has no effect beside processes:",
        ),
        (
            {"store": POSTGRES, "processes": GROUPS, "listeners": {"grpc": {"port": 0}}},
            "2 frontends share the gRPC port",
        ),
        (
            {"store": POSTGRES, "listeners": {"internode": {"host": "::"}}},
            "other nodes cannot call [::]:7234: give listeners.internode.advertised",
        ),
        (
            {"store": POSTGRES, "processes": GROUPS, "metrics": {"port": 65534}},
            "process 3 would have the metrics port 65536",
        ),
        (
            {"store": POSTGRES, "processes": GROUPS, "metrics": {"port": 7231}},
            "port 7233 is wanted for gRPC and for metrics of engine-0",
        ),
        (
            {"store": POSTGRES, "processes": GROUPS, "metrics": {"port": 7236}},
            "port 7236 is wanted for metrics of frontend-0 and for internode of engine-0",
        ),
    ],
)
def test_what_cannot_run(sections: dict[str, Any], expected: str) -> None:
    assert expected in refusal(**sections)


def test_ports_of_different_addresses_do_not_clash() -> None:
    assert planned(
        store=POSTGRES,
        listeners={"internode": {"host": "10.0.0.1", "port": 7233}, "grpc": {"host": "10.0.0.2"}},
    )


def test_a_lone_sqlite_server_may_listen_everywhere() -> None:
    assert planned(store={"kind": "sqlite", "path": "x"}, listeners={"internode": {"host": "::"}})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("processes:\n- {name: a, roles: [worker]}\n- {name: a, roles: [worker]}\n", "1: two of"),
        ("processes:\n- name: A\n  roles: [worker]\n", "2: processes.0.name: string should match"),
        ("processes:\n- name: a\n  roles: []\n", "3: processes.0.roles: list should have"),
        ("processes:\n- name: a\n  roles: [worker]\n  count: 0\n", "4: processes.0.count"),
        ("processes:\n- name: a\n  role: [worker]\n", "did you mean"),
        ("listeners:\n  internode:\n    advertised: '::'\n", "3: nobody can call the advertised"),
        (
            "listeners:\n  internode:\n    advertised: 'a:b'\n",
            '3: the advertised address "a:b" has',
        ),
        ("node: {heartbeat_seconds: 2}\n", "1: node.lease_seconds must be more than 7.5"),
        ("cluster: {shards: 0}\n", "greater than or equal to 1"),
        ("logging: {}\nroles: [frontend]\n", "2: a process without"),
    ],
)
def test_refusals_have_a_line(tmp_path: Path, source: str, expected: str) -> None:
    path = tmp_path / "perdure.yml"
    path.write_text(source, "utf-8")
    with pytest.raises(ConfigError) as caught:
        composition.check(file.read(path))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


def test_an_ipv6_host_may_be_in_brackets() -> None:
    listener = InternodeListener(host="[::1]")
    assert (listener.host, listener.address(7234)) == ("::1", "[::1]:7234")


@pytest.mark.parametrize(("heartbeat", "lease"), [(1.0, 6.0), (0.1, 1.81), (1.4, 5.8), (9, 28.6)])
def test_every_lease_that_is_accepted_suits_membership(heartbeat: float, lease: float) -> None:
    node = Node(heartbeat_seconds=heartbeat, lease_seconds=lease)
    MembershipSettings(period=node.heartbeat_seconds, lease=node.lease_seconds)
