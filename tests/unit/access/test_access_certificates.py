"""What client certificates stand for, and which are nodes'."""

import pytest

from perdure.access.certificates import CertificateMapper, identity_of
from perdure.access.claims import Claims, Role
from perdure.rpc.peer_certificate import PeerCertificate

DOMAIN = "example.com"


def certificate(*ids: str, subject: str = "CN=desk-1,O=example.com") -> PeerCertificate:
    return PeerCertificate("desk-1", subject, "1", ids, ())


def spiffe(role: str, namespace: str = "orders", domain: str = DOMAIN) -> str:
    return f"spiffe://{domain}/ns/{namespace}/role/{role}/host/desk-1"


def mapper(
    permissions: dict[str, list[str]] | None = None, domain: str = DOMAIN
) -> CertificateMapper:
    return CertificateMapper(trust_domain=domain, permissions=permissions or {})


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        ("worker", Role.WORKER),
        ("application-worker", Role.WORKER),
        ("reader", Role.READER),
        ("writer", Role.WRITER),
        ("client", Role.NONE),
        ("admin", Role.ADMIN),
        ("owner", Role.NONE),
        ("Admin", Role.NONE),
    ],
)
def test_roles(role: str, granted: Role) -> None:
    found = mapper().map(certificate(spiffe(role)))
    assert found == Claims(spiffe(role), namespaces={"orders": granted})


def test_roles_in_the_whole_cluster() -> None:
    shown = spiffe("reader", "temporal-system")
    assert mapper().map(certificate(shown)) == Claims(shown, system=Role.READER)


@pytest.mark.parametrize("role", ["frontend", "history", "matching", "worker", "internode"])
def test_nodes_are_no_clients(role: str) -> None:
    shown = certificate(spiffe(role, "temporal-system"))
    identity = identity_of(shown, DOMAIN)
    assert identity is not None
    assert identity.is_node
    assert mapper().map(shown) == Claims(spiffe(role, "temporal-system"))


@pytest.mark.parametrize(
    ("role", "namespace"),
    [("worker", "orders"), ("history", "orders"), ("admin", "temporal-system"), ("client", "a")],
)
def test_clients_are_no_nodes(role: str, namespace: str) -> None:
    identity = identity_of(certificate(spiffe(role, namespace)), DOMAIN)
    assert identity is not None
    assert not identity.is_node


@pytest.mark.parametrize(
    "ids",
    [
        (),
        (spiffe("admin", domain="example.org"),),
        (spiffe("admin", domain="x.example.com"),),
        (spiffe("admin"), spiffe("reader")),
        (spiffe("admin"), "spiffe://example.org/other"),
        ("spiffe://example.com/ns/orders/role/admin",),
        ("spiffe://example.com/ns/orders/role/admin/host/a/b",),
        ("spiffe://example.com/ns//role/admin/host/a",),
        ("spiffe://example.com/x/ns/orders/role/admin/host/a",),
        (spiffe("admin") + "\n",),
        ("SPIFFE://example.com/ns/orders/role/admin/host/a",),
    ],
)
def test_who_is_nobody(ids: tuple[str, ...]) -> None:
    assert mapper().map(certificate(*ids)) is None


def test_without_a_trust_domain_ids_say_nothing() -> None:
    assert mapper(domain="").map(certificate(spiffe("admin"))) is None
    assert mapper(domain="").map(certificate(spiffe("admin", domain=""))) is None


def test_subjects_have_what_the_table_says() -> None:
    table = {"CN=desk-1,O=example.com": ["orders:read", "billing:write", "temporal-system:read"]}
    assert mapper(table).map(certificate()) == Claims(
        "CN=desk-1,O=example.com",
        Role.READER,
        {"orders": Role.READER, "billing": Role.WRITER},
    )
    for other in ("", "CN=desk-1", "CN=DESK-1,O=example.com", "CN=desk-1,O=example.com,C=DE"):
        assert mapper(table).map(certificate(subject=other)) is None


def test_the_table_adds_to_an_id() -> None:
    shown = spiffe("client")
    found = mapper({shown: ["temporal-system:admin"]}).map(certificate(shown))
    assert found == Claims(shown, Role.ADMIN, {"orders": Role.NONE})
    assert mapper({shown: ["orders:admin"]}).map(certificate(shown, spiffe("reader"))) is None
