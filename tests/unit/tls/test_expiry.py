"""`perdure tls expiring` and `renew`: when certificates are due, and that they are renewed then."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure_tls.renewal import due_at
from perdure_tls.state import Issued
from unit.tls.tool import Tool, openssl

DAY = timedelta(days=1)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CLIENT = "client-default-w1"


@pytest.fixture
def cluster(made: Tool) -> Tool:
    """Returns an authority with a client of 90 days and one of 24 hours."""
    made.issue("client", "w1")
    made.issue("client", "w2", "--lifetime", "24h")
    return made


def issued(serial: int, days: int) -> Issued:
    return Issued(
        serial=f"{serial:x}",
        not_before=EPOCH,
        not_after=EPOCH + days * DAY,
        fingerprint="",
    )


@given(st.integers(1, 1 << 159), st.integers(1, 4000))
def test_due_when_a_third_to_a_quarter_is_left(serial: int, days: int) -> None:
    left = EPOCH + days * DAY - due_at(issued(serial, days))
    assert days * DAY / 4 <= left <= days * DAY / 3


def test_not_all_are_due_at_once() -> None:
    parts = {due_at(issued(serial << 20, 90)) for serial in range(1, 4096, 16)}
    assert len(parts) > 200
    assert max(parts) - min(parts) > timedelta(days=6)


def standings(tool: Tool, *more: object, code: int) -> dict[str, str]:
    entries = tool.json("expiring", *more, code=code)
    return {f"{entry['kind']} {entry['name']}": entry["standing"] for entry in entries}


def renewed(tool: Tool, *arguments: object) -> list[str]:
    printed = tool.json("renew", *arguments)
    assert printed["failed"] == {}
    return list(printed["renewed"])


def test_exit_codes(cluster: Tool) -> None:
    fine = dict.fromkeys(("root 1", "intermediate 1", f"leaf {CLIENT}"), "ok")
    short = "leaf client-default-w2"
    assert standings(cluster, code=0) == fine | {short: "ok"}
    assert standings(cluster, "--within", "30h", code=3) == fine | {short: "soon"}
    cluster.later = timedelta(hours=20)
    assert standings(cluster, code=3) == fine | {short: "soon"}
    assert standings(cluster, "--within", "1h", code=0) == fine | {short: "ok"}
    cluster.later = timedelta(hours=25)
    assert standings(cluster, code=4) == fine | {short: "expired"}
    assert standings(cluster, "--within", "100d", code=4)[f"leaf {CLIENT}"] == "soon"
    said = cluster.run("expiring")
    assert said.exit_code == 4
    assert "expired" in said.stdout
    assert "88 d" in said.stdout


def test_the_first_to_end_comes_first(cluster: Tool) -> None:
    ends = [entry["not_after"] for entry in cluster.json("expiring")]
    assert ends == sorted(ends)


def test_renewal_of_what_is_due(cluster: Tool) -> None:
    before = {name: entry.newest for name, entry in cluster.state.certificates.items()}
    assert renewed(cluster) == []
    cluster.later = timedelta(hours=20)
    assert renewed(cluster) == ["client-default-w2"]
    assert renewed(cluster) == []
    cluster.later = timedelta(days=69)
    assert sorted(renewed(cluster)) == [CLIENT, "client-default-w2"]
    assert cluster.failures() == []
    after = cluster.state.certificates
    for name, old in before.items():
        assert after[name].newest.serial != old.serial
        period = after[name].newest.not_after - after[name].newest.not_before
        assert period == old.not_after - old.not_before


def test_renewal_keeps_one_before_the_newest(cluster: Tool) -> None:
    for _ in range(3):
        cluster.json("renew", "--force", CLIENT)
    held = sorted(path.name for path in cluster.folder.holder(CLIENT).iterdir())
    assert held == ["3", "4", "current"]


def test_renewal_by_name(cluster: Tool) -> None:
    assert renewed(cluster, CLIENT) == []
    assert renewed(cluster, CLIENT, "--force") == [CLIENT]
    assert "There is no certificate nobody" in cluster.refused("renew", "nobody")
    assert f"renewed {CLIENT}, valid until" in cluster.run("renew", "--force", CLIENT).stdout


def test_renewal_of_revocation_lists(cluster: Tool) -> None:
    cluster.later = 5 * DAY
    cluster.json("renew")
    assert cluster.state.intermediates[1].crl == 1
    cluster.later = 11 * DAY
    cluster.json("renew")
    assert cluster.state.intermediates[1].crl == 2
    (crl,) = cluster.path.glob("intermediates/1/crl-*.pem")
    text = openssl("crl", "-text", "-noout", "-in", crl)
    assert "X509v3 CRL Number: \n                2" in text


def test_an_intermediate_that_ends_too_soon(tool: Tool) -> None:
    tool.init("--intermediate-lifetime", "100d")
    tool.issue("client", "w1")
    tool.issue("client", "w2", "--lifetime", "2d")
    tool.later = 80 * DAY
    said = "choose a shorter lifetime, or rotate the intermediate first"
    assert f"{CLIENT}: The issuer's certificate ends at" in tool.refused("renew")
    tool.later += 2 * DAY
    printed = tool.json("renew", code=1)
    assert said in printed["failed"][CLIENT]
    assert printed["renewed"] == ["client-default-w2"]
    assert standings(tool, code=3)["intermediate 1"] == "soon"


def test_what_a_rotation_would_go_back_to_is_kept(cluster: Tool) -> None:
    cluster.json("rotate", "leaf", "--without-peers", code=3)
    for _ in range(2):
        cluster.json("renew", "--force", CLIENT)
    cluster.json("rotate", "rollback", "--without-peers")
    assert cluster.state.certificates[CLIENT].current == 1
    assert cluster.failures() == []
