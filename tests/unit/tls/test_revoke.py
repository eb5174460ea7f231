"""`perdure tls revoke`: revocation lists for openssl and others, the deny list for servers."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from unit.tls.tool import Tool, openssl

CLIENT, ID = "client-default-w1", "spiffe://example.com/ns/default/role/client/host/w1"


@pytest.fixture
def cluster(made: Tool) -> Tool:
    """Returns an authority with two clients."""
    made.issue("client", "w1")
    made.issue("client", "w2")
    return made


def denied(tool: Tool) -> Any:
    return json.loads((tool.path / "published/denied.json").read_text())


def serial(tool: Tool, name: str = CLIENT) -> str:
    return tool.state.certificates[name].newest.serial


def accepted(tool: Tool, leaf: Path, *, code: int = 0) -> str:
    """Asks openssl, which reads the revocation lists of the leaf's issuer and the root."""
    return openssl(
        *("verify", "-crl_check_all", "-CRLfile", tool.path / "published/crl.pem"),
        *("-attime", int(tool.now().timestamp())),
        *("-CAfile", tool.trust, "-untrusted", leaf, leaf),
        code=code,
    )


def test_nothing_is_revoked_at_first(cluster: Tool) -> None:
    assert denied(cluster) == {"serials": [], "spiffeIds": []}
    accepted(cluster, cluster.certificate(CLIENT))
    text = openssl("crl", "-text", "-noout", "-in", cluster.path / "intermediates/1/crl-1.pem")
    assert "No Revoked Certificates" in text


def test_a_holder(cluster: Tool, tmp_path: Path) -> None:
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(cluster.certificate(CLIENT).read_bytes())
    cluster.json("renew", "--force", CLIENT)
    newer = serial(cluster)
    printed = cluster.json("revoke", CLIENT, "--reason", "keyCompromise")
    (first, second) = printed["revoked"]
    assert first["name"] == second["name"] == CLIENT
    assert first["reason"] == "keyCompromise"
    assert newer == second["serial"]
    assert denied(cluster)["serials"] == sorted([first["serial"], newer])
    assert "certificate revoked" in accepted(cluster, leaf, code=2)
    accepted(cluster, cluster.certificate("client-default-w2"))
    assert not cluster.folder.holder(CLIENT).exists()

    crl = cluster.path / "intermediates/1/crl-2.pem"
    text = openssl("crl", "-text", "-noout", "-in", crl)
    assert f"Serial Number: {int(newer, 16):040X}" in text
    assert "Key Compromise" in text
    openssl(
        "crl", "-noout", "-in", crl, "-CAfile", cluster.path / "intermediates/1/certificate.pem"
    )

    assert cluster.failures() == []
    cluster.issue("client", "w1")
    assert len(denied(cluster)["serials"]) == 2


def test_one_certificate(cluster: Tool) -> None:
    old = serial(cluster)
    colons = ":".join(f"{int(old, 16):040X}"[i : i + 2] for i in range(0, 40, 2))
    assert cluster.json("revoke", "--serial", colons)["revoked"] == [
        {"serial": old, "name": CLIENT, "reason": "unspecified"}
    ]
    (said,) = cluster.failures()
    assert said == f"revocation of {CLIENT}: its serial number is on the deny list"
    files = ("--certificate", cluster.certificate(CLIENT), "--trust", cluster.trust)
    published = cluster.path / "published"
    (said,) = cluster.failures(*files, "--crl", published / "crl.pem")
    assert "CN=client w1,O=example.com was revoked by CN=Perdure intermediate 1" in said
    (said,) = cluster.failures(*files, "--denied", published / "denied.json")
    assert "is on the deny list" in said
    assert cluster.failures(*files) == []
    # The holder stays, and gets a new one by the next timer.
    assert cluster.json("renew")["renewed"] == [CLIENT]
    assert cluster.failures() == []
    assert denied(cluster)["serials"] == [old]


def test_one_that_is_used_no_more(cluster: Tool) -> None:
    old = serial(cluster)
    for _ in range(2):
        cluster.json("renew", "--force", CLIENT)
    assert old not in {e.serial for e in cluster.state.certificates[CLIENT].generations.values()}
    cluster.json("revoke", "--serial", old)
    assert denied(cluster)["serials"] == [old]
    cluster.json("rotate", "leaf", "--without-peers", "--overlap", "1s", code=3)
    retired = {entry.serial for entry in cluster.state.retired}
    cluster.later += timedelta(days=1)
    cluster.json("rotate", "resume")
    assert retired < {entry.serial for entry in cluster.state.retired}


def test_a_holder_by_its_id(cluster: Tool) -> None:
    assert cluster.json("revoke", "--spiffe-id", ID)["denied_spiffe_ids"] == [ID]
    assert denied(cluster) == {"serials": [], "spiffeIds": [ID]}
    assert cluster.failures() == [f"revocation of {CLIENT}: {ID} is on the deny list"]
    cluster.json("renew", "--force", CLIENT)
    assert cluster.failures() == [f"revocation of {CLIENT}: {ID} is on the deny list"]
    assert cluster.json("revoke", "--allow", ID)["denied_spiffe_ids"] == []
    assert cluster.failures() == []
    assert "is not denied" in cluster.refused("revoke", "--allow", ID)
    other = ID.replace("example.com", "example.org")
    assert "is not of this trust domain" in cluster.refused("revoke", "--spiffe-id", other)


def test_entries_end_with_their_certificates(cluster: Tool) -> None:
    cluster.json("revoke", CLIENT)
    cluster.later = timedelta(days=91)
    cluster.json("renew")
    assert denied(cluster)["serials"] == []
    assert cluster.state.revoked == ()


def test_what_is_refused(cluster: Tool) -> None:
    assert "Say what is revoked" in cluster.refused("revoke")
    assert "There is no certificate nobody" in cluster.refused("revoke", "nobody")
    assert "'xyz' is no serial number" in cluster.refused("revoke", "--serial", "xyz")
    assert "No certificate 1f was issued here" in cluster.refused("revoke", "--serial", "1f")
    one = serial(cluster)
    cluster.json("revoke", "--serial", one)
    assert f"The certificate {one} is revoked already" in cluster.refused("revoke", "--serial", one)
    assert "is not one of" in cluster.refused("revoke", CLIENT, "--reason", "anger")


def test_what_is_said_to_people(cluster: Tool) -> None:
    said = cluster.run("revoke", CLIENT, "--spiffe-id", ID).stdout
    assert CLIENT in said
    assert f"denied: {ID}" in said


@pytest.mark.parametrize("kind", ["intermediate", "root"])
def test_while_a_rotation_is_under_way(cluster: Tool, kind: str, tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(cluster.certificate(CLIENT).read_bytes())
    cluster.json("rotate", kind, "--without-peers", code=3)
    if kind == "root":
        cluster.later = timedelta(days=1)
        cluster.json("rotate", "resume", "--without-peers", code=3)
    new = tmp_path / "new.pem"
    new.write_bytes(cluster.certificate(CLIENT).read_bytes())
    for leaf in (old, new):
        accepted(cluster, leaf)
    cluster.json("revoke", CLIENT)
    for leaf in (old, new):
        assert "certificate revoked" in accepted(cluster, leaf, code=2)
    accepted(cluster, cluster.certificate("client-default-w2"))
    cluster.later += timedelta(days=1)
    cluster.json("rotate", "resume")
    assert len(denied(cluster)["serials"]) == 2
