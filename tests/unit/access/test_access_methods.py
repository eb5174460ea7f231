"""Every RPC and every role: the whole table, and what it means for each caller."""

import pytest
from grpc_health.v1 import health_pb2

from perdure.access import methods
from perdure.access.claims import Claims, Role
from perdure.access.decision import allows
from perdure.access.methods import RULES, Access, Rule, Scope
from perdure.rpc import health, reflection
from perdure.rpc.methods import methods_of, public_methods

OWN, OTHER = "orders", "billing"
CALLERS = {
    "nobody": None,
    "without roles": Claims("ada"),
    **{
        role.name.lower(): Claims("ada", namespaces={OWN: role})
        for role in (Role.WORKER, Role.READER, Role.WRITER, Role.ADMIN)
        if role.name
    },
    "worker and reader": Claims("ada", namespaces={OWN: Role.WORKER | Role.READER}),
    **{
        f"system {role.name.lower()}": Claims("ada", system=role)
        for role in (Role.WORKER, Role.READER, Role.WRITER, Role.ADMIN)
        if role.name
    },
}
LEVELS = {Access.READ: 1, Access.WRITE: 2, Access.ADMIN: 3}
HAS = {"reader": 1, "writer": 2, "admin": 3, "worker and reader": 1}
"""What a role reaches up to, written down once more."""


def expected(caller: str, rule: Rule, namespace: str) -> bool:
    """What a caller may do, said in another way than the code does."""
    if rule.access is Access.OPEN:
        return True
    if caller in {"nobody", "without roles"}:
        return False
    if rule.scope is Scope.SEEN:
        return True
    is_system = caller.startswith("system ")
    if not is_system and (rule.scope is Scope.CLUSTER or namespace != OWN):
        return False
    role = caller.removeprefix("system ")
    return HAS.get(role, 0) >= LEVELS[rule.access] or ("worker" in role and rule.by_workers)


def test_every_rpc_has_a_rule_and_every_rule_an_rpc() -> None:
    services = health_pb2.DESCRIPTOR.services_by_name.values()
    served = {method.path for method in (*public_methods(), *methods_of(services))}
    served |= {f"/{name}/ServerReflectionInfo" for name in reflection.SERVICE_NAMES}
    assert RULES.keys() == served
    assert health.SERVICE_NAME in {path.split("/")[1] for path in served}


def test_no_rpc_stands_in_the_table_twice() -> None:
    for table in (methods._WORKFLOW_SERVICE, methods._OPERATOR_SERVICE):
        names = " ".join(table.values()).split()
        assert sorted(names) == sorted(set(names))


def test_what_is_about_a_namespace_names_one() -> None:
    for method in public_methods():
        assert method.names_namespace is (RULES[method.path].scope is Scope.NAMESPACE), method.path


def test_what_is_open_to_all_is_this() -> None:
    assert {path for path, rule in RULES.items() if rule.access is Access.OPEN} == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo",
    }


def test_workers_poll_and_answer_and_no_more() -> None:
    beginnings = ("Poll", "Respond", "RecordActivityTaskHeartbeat")
    others = {
        *("DescribeNamespace", "GetWorkflowExecutionHistory"),
        *("ResetStickyTaskQueue", "RecordWorkerHeartbeat", "ShutdownWorker"),
    }
    for path, rule in RULES.items():
        name = path.rpartition("/")[2]
        if rule.by_workers:
            assert name in others or name.startswith(beginnings), name
        else:
            assert name not in others
            assert rule.access is Access.READ or not name.startswith(beginnings), name


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("path", RULES)
def test_every_rpc_of_every_caller(path: str, caller: str) -> None:
    rule, claims = RULES[path], CALLERS[caller]
    for namespace in (OWN, OTHER, "", OWN.upper()):
        assert allows(claims, rule, namespace) is expected(caller, rule, namespace), namespace


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("scope", Scope)
def test_a_request_without_a_namespace_is_nobodys(scope: Scope, access: Access) -> None:
    claims = Claims("ada", namespaces={OWN: Role.ADMIN})
    rule = Rule(scope, access, by_workers=True)
    allowed = access is Access.OPEN or scope is Scope.SEEN
    assert allows(claims, rule, "") is allowed
