"""`perdure tls rotate`: leaf, intermediate and root; phases, waiting, going back."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from unit.tls.listener import Files, listening
from unit.tls.tool import Tool, openssl

DAY, SECONDS = timedelta(days=1), timedelta(seconds=2)
NODE, CLIENT = "internode-localhost", "client-default-w1"
KINDS = ("leaf", "intermediate", "root")


@pytest.fixture
def cluster(made: Tool) -> Tool:
    """Returns an authority with a node and a client."""
    made.issue("internode", "localhost")
    made.issue("client", "w1")
    return made


def rotate(tool: Tool, kind: str, *more: object, code: int) -> Any:
    return tool.json("rotate", kind, "--without-peers", *more, code=code)


def to_overlap(tool: Tool, kind: str) -> Any:
    """Rotates until the overlap; a root's certificates are issued a day after it is trusted."""
    if kind == "root":
        waiting = rotate(tool, kind, code=3)
        assert waiting["rotation"]["phase"] == "spread"
        assert waiting["waiting"].endswith(" UTC: clients may not have the new root yet")
        tool.later += DAY
    waiting = rotate(tool, kind, code=3)
    assert waiting["rotation"]["phase"] == "overlap"
    return waiting


def serials(tool: Tool) -> dict[str, str]:
    return {name: entry.newest.serial for name, entry in tool.state.certificates.items()}


def roots_trusted(tool: Tool) -> list[str]:
    return [part["subject"] for part in tool.json("inspect", tool.trust)]


def files_of(tool: Tool) -> list[str]:
    return sorted(
        path.relative_to(tool.path).as_posix() for path in tool.path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotation_to_its_end(cluster: Tool, kind: str) -> None:
    before, old_leaf = serials(cluster), cluster.certificate(CLIENT).read_bytes()
    waiting = to_overlap(cluster, kind)
    assert waiting["waiting"].startswith("wait until ")
    assert waiting["waiting"].endswith(" UTC: clients may still have old certificates")
    assert set(serials(cluster).values()).isdisjoint(before.values())
    assert cluster.failures() == []

    cluster.later += DAY
    assert rotate(cluster, kind, code=0)["rotation"] is None
    assert cluster.failures() == []
    number = "2" if kind != "leaf" else "1"
    assert [path.name for path in cluster.path.glob("intermediates/*")] == [number]
    assert [path.name for path in cluster.path.glob("roots/*")] == ["2" if kind == "root" else "1"]
    for name in (NODE, CLIENT):
        generations = sorted(path.name for path in cluster.folder.holder(name).iterdir())
        assert generations == ["2", "current"]
    (cluster.path / "old.pem").write_bytes(old_leaf)
    openssl(
        *("verify", "-CAfile", cluster.trust, "-untrusted", cluster.path / "old.pem"),
        cluster.path / "old.pem",
        code=2 if kind == "root" else 0,
    )


def test_a_root_is_trusted_before_anybody_has_its_certificates(cluster: Tool) -> None:
    before = serials(cluster)
    waiting = cluster.json("rotate", "root", code=3)
    assert waiting["rotation"]["phase"] == "verify-trust"
    assert waiting["done"] == [
        "make root 2",
        "make intermediate 2, signed by root 2",
        "go on with what was made",
        "trust root 2 beside the old one",
    ]
    assert "bring published/ and the certificates to every host" in waiting["waiting"]
    assert roots_trusted(cluster) == [
        "CN=Perdure root 1,O=example.com",
        "CN=Perdure root 2,O=example.com",
    ]
    assert serials(cluster) == before
    # New certificates are the old root's as long as the new one is not known to be trusted.
    assert cluster.state.issuer == 1
    name = cluster.issue("client", "w2")
    assert cluster.state.certificates[name].newest.issuer == 1
    assert rotate(cluster, "root", code=3)["rotation"]["phase"] == "spread"
    assert serials(cluster).items() > before.items()
    cluster.later += DAY
    rotate(cluster, "root", code=3)
    assert {entry.newest.issuer for entry in cluster.state.certificates.values()} == {2}
    cluster.later += DAY
    rotate(cluster, "root", code=0)
    assert roots_trusted(cluster) == ["CN=Perdure root 2,O=example.com"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_says_all_and_does_nothing(cluster: Tool, kind: str) -> None:
    before = {path: (cluster.path / path).read_bytes() for path in files_of(cluster)}
    would = rotate(cluster, kind, "--dry-run", code=0)["would"]
    assert {path: (cluster.path / path).read_bytes() for path in files_of(cluster)} == before
    done = []
    for code in (3, 3, 0) if kind == "root" else (3, 0):
        done += rotate(cluster, kind, code=code)["done"]
        cluster.later += DAY
    assert [step for step in would if not step.startswith("wait until")] == done


def test_the_status(cluster: Tool) -> None:
    assert cluster.json("rotate", "status") == {"rotation": None, "ahead": []}
    assert "No rotation is under way." in cluster.run("rotate", "status").stdout
    rotate(cluster, "intermediate", code=3)
    status = cluster.json("rotate", "status")
    assert status["rotation"]["kind"] == "intermediate"
    assert status["rotation"]["phase"] == "overlap"
    assert status["ahead"][0].startswith("wait until ")
    assert status["ahead"][1:] == ["end the phase overlap", "drop intermediate 1"]
    said = cluster.run("rotate", "status").stdout
    assert "prepare → issue → verify-issued → overlap → drop" in said


def test_one_rotation_at_a_time(cluster: Tool) -> None:
    rotate(cluster, "leaf", code=3)
    assert "A rotation of the leaf is under way" in cluster.refused("rotate", "root")
    assert rotate(cluster, "leaf", code=3)["done"] == []


def test_leaves_by_name(cluster: Tool) -> None:
    before = serials(cluster)
    assert "There is no certificate nobody" in cluster.refused("rotate", "leaf", "nobody")
    rotate(cluster, "leaf", CLIENT, code=3)
    after = serials(cluster)
    assert (before[NODE], before[CLIENT] != after[CLIENT]) == (after[NODE], True)


@pytest.mark.parametrize("kind", ["intermediate", "root"])
def test_the_roots_key_is_away(cluster: Tool, kind: str, tmp_path: Path) -> None:
    away = tmp_path / "safe.pem"
    (cluster.path / "roots/1/key.pem").rename(away)
    if kind == "root":  # which needs the new one's only
        rotate(cluster, kind, code=3)
        return
    assert "say where with --root-key" in cluster.refused("rotate", kind, "--without-peers")
    assert cluster.state.certificates[CLIENT].newest.issuer == 1
    rotate(cluster, kind, "--root-key", away, code=3)
    assert cluster.state.certificates[CLIENT].newest.issuer == 2


@pytest.mark.parametrize("kind", KINDS)
def test_back_from_the_overlap(cluster: Tool, kind: str) -> None:
    before, trusted = serials(cluster), cluster.trust.read_bytes()
    to_overlap(cluster, kind)
    would = cluster.json("rotate", "rollback", "--dry-run")["would"]
    assert f"put the old certificates of {NODE}, {CLIENT} in use again" in would
    done = []
    if kind == "root":
        back = cluster.json("rotate", "rollback", "--without-peers", code=3)
        assert back["waiting"].endswith("clients may still have certificates of the new root")
        assert serials(cluster) == before
        assert cluster.trust.read_bytes() != trusted
        done = back["done"]
        cluster.later += DAY
    back = cluster.json("rotate", "rollback", "--without-peers")
    assert back["rotation"] is None
    assert done + back["done"] == [step for step in would if not step.startswith("wait until")]
    assert serials(cluster) == before
    assert cluster.trust.read_bytes() == trusted
    assert cluster.failures() == []
    assert [path.name for path in cluster.path.glob("intermediates/*")] == ["1"]
    assert "No rotation is under way" in cluster.refused("rotate", "rollback")
    rotate(cluster, kind, code=3)


def test_back_before_anybody_has_a_new_certificate(cluster: Tool) -> None:
    before, trusted = serials(cluster), cluster.trust.read_bytes()
    cluster.json("rotate", "root", code=3)
    back = cluster.json("rotate", "rollback")
    assert back["done"] == ["discard what the rotation made"]
    assert (serials(cluster), cluster.trust.read_bytes()) == (before, trusted)


def test_back_with_holders_that_came_or_were_revoked_meanwhile(cluster: Tool) -> None:
    old = serials(cluster)[CLIENT]
    to_overlap(cluster, "root")
    new = cluster.issue("client", "w2")
    cluster.json("revoke", "--serial", old)
    waiting = cluster.json("rotate", "rollback", code=3)
    assert waiting["rotation"]["phase"] == "verify-restored"
    assert "finish that with perdure tls rotate resume" in cluster.refused("rotate", "root")
    cluster.json("rotate", "rollback", "--without-peers", code=3)
    cluster.later += DAY
    cluster.json("rotate", "resume")
    issued = {name: entry.newest for name, entry in cluster.state.certificates.items()}
    assert {entry.issuer for entry in issued.values()} == {1}
    assert issued[CLIENT].serial != old
    assert issued[new].serial
    assert cluster.failures() == []


def test_no_way_back_from_the_end(cluster: Tool) -> None:
    rotate(cluster, "leaf", "--overlap", "1s", code=3)
    cluster.later += DAY
    rotate(cluster, "leaf", code=0)
    assert "No rotation is under way" in cluster.refused("rotate", "rollback")


class Host:
    """A host with a listener: it has the files that were brought to it last."""

    def __init__(self, tool: Tool, path: Path) -> None:
        self._tool = tool
        self.files = Files(path / "certificate.pem", path / "key.pem", path / "trust.pem")
        path.mkdir()

    def bring(self, *, certificate: bool = True, trust: bool = True) -> None:
        """Copies what the authority has now."""
        copies = {self._tool.trust: self.files.trust} if trust else {}
        if certificate:
            copies |= {
                self._tool.certificate(NODE): self.files.certificate,
                self._tool.key(NODE): self.files.key,
            }
        for source, target in copies.items():
            target.unlink(missing_ok=True)
            target.write_bytes(source.read_bytes())


@pytest.fixture
def hosts(cluster: Tool, tmp_path: Path) -> Iterator[list[tuple[Host, str]]]:
    """Gives two hosts with the node's certificate, and their addresses."""
    with ExitStack() as stack:
        found = []
        for name in ("host-1", "host-2"):
            host = Host(cluster, tmp_path / name)
            host.bring()
            found.append((host, stack.enter_context(listening(host.files))))
        yield found


def test_peers_hold_a_root_rotation_until_each_is_ready(
    cluster: Tool, hosts: list[tuple[Host, str]]
) -> None:
    (one, first), (other, second) = hosts
    peers = [f"{address}=localhost" for address in (first, second)]
    again = ("rotate", "root", "--overlap", "1s")
    waiting = cluster.json(*again, "--peer", peers[0], "--peer", peers[1], code=3)["waiting"]
    assert f"{first}: refuses the client" in waiting
    assert f"{second}: refuses the client" in waiting

    one.bring(certificate=False)
    waiting = cluster.json(*again, code=3)  # the peers are known
    assert waiting["rotation"]["peers"] == peers
    assert first not in waiting["waiting"]
    assert f"{second}: refuses the client" in waiting["waiting"]

    other.bring(certificate=False)
    assert cluster.json(*again, code=3)["rotation"]["phase"] == "spread"
    cluster.later += SECONDS  # listeners have the real time: their clients must not be of tomorrow
    waiting = cluster.json(*again, code=3)
    assert waiting["rotation"]["phase"] == "verify-issued"
    assert f"{first}: presents " in waiting["waiting"]
    assert "which is not in use any more" in waiting["waiting"]

    one.bring()
    other.bring()
    assert cluster.json(*again, code=3)["rotation"]["phase"] == "overlap"
    cluster.later += SECONDS
    assert cluster.json(*again)["rotation"] is None
    assert cluster.failures("--connect", peers[0]) == []


def test_peers_hold_the_way_back(cluster: Tool, hosts: list[tuple[Host, str]]) -> None:
    peers = [word for _, address in hosts for word in ("--peer", f"{address}=localhost")]
    rotate(cluster, "intermediate", *peers, code=3)
    for host, _ in hosts:
        host.bring()
    waiting = cluster.json("rotate", "rollback", code=3)
    assert waiting["rotation"]["phase"] == "verify-restored"
    assert "which is not in use any more" in waiting["waiting"]
    for host, _ in hosts:
        host.bring()
    assert cluster.json("rotate", "rollback")["rotation"] is None


def test_a_peer_that_is_down(cluster: Tool) -> None:
    waiting = cluster.json("rotate", "leaf", "--peer", "127.0.0.1:1=localhost", code=3)["waiting"]
    assert waiting == "127.0.0.1:1: cannot be reached: Connection refused"


@pytest.mark.parametrize("peer", ["localhost", "localhost:", ":1", "a:b", "[::1]"])
def test_what_is_no_peer(cluster: Tool, peer: str) -> None:
    assert "write HOST:PORT, or HOST:PORT=NAME" in cluster.refused("rotate", "leaf", "--peer", peer)
