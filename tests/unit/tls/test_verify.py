"""`perdure tls verify`: what is wrong with certificates, keys, files and listeners."""

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from unit.tls.foreign import Foreign
from unit.tls.listener import Files, listening, plain
from unit.tls.tool import Tool

NODE, CLIENT = "internode-localhost", "client-default-w1"


@pytest.fixture
def cluster(made: Tool) -> Tool:
    """Returns an authority with a node and a client."""
    made.issue("internode", "localhost", "--ip", "127.0.0.1")
    made.issue("client", "w1")
    return made


def replaced(path: Path, data: bytes, mode: int = 0o400) -> None:
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def test_all_is_well(cluster: Tool) -> None:
    result = cluster.run("verify")
    assert result.exit_code == 0
    assert "FAILED" not in result.stdout
    found = cluster.json("verify")
    assert {entry["check"] for entry in found} == {
        *("published", "permissions", "dates", "chain", "usage", "name", "revocation"),
        *("verifier", "key", "identity"),
    }
    subjects = {entry["subject"] for entry in cluster.json("verify", CLIENT)}
    assert (CLIENT in subjects, NODE in subjects) == (True, False)
    assert "There is no certificate nobody" in cluster.refused("verify", "nobody")


def test_dates(cluster: Tool) -> None:
    cluster.later = timedelta(days=91)
    wrong = cluster.failures(CLIENT)
    assert any(f"dates of {CLIENT}: CN=client w1,O=example.com expired at" in w for w in wrong)
    cluster.later = -timedelta(days=1)
    assert any("is not valid before" in said for said in cluster.failures(CLIENT))


def test_a_key_that_others_read(cluster: Tool) -> None:
    key = cluster.key(CLIENT)
    key.chmod(0o444)
    (said,) = cluster.failures()
    assert said == (
        f"permissions of {CLIENT}: {key} has mode 0444, so that others can use it: chmod 0400 {key}"
    )
    (cluster.path / "roots/1/key.pem").chmod(0o644)
    assert any("permissions of root 1: " in said for said in cluster.failures())


def test_a_key_that_is_anothers_damaged_or_missing(cluster: Tool) -> None:
    key = cluster.key(CLIENT)
    replaced(key, cluster.key(NODE).read_bytes())
    assert cluster.failures() == [f"key of {CLIENT}: {key} is the key of another certificate"]
    replaced(key, b"nothing")
    (said,) = cluster.failures()
    assert "it is no private key in PEM" in said
    key.unlink()
    (said,) = cluster.failures()
    assert said == f"key of {CLIENT}: {key}: No such file or directory"


def test_a_certificate_that_is_anothers_damaged_or_missing(cluster: Tool) -> None:
    path = cluster.certificate(CLIENT)
    replaced(path, cluster.certificate(NODE).read_bytes(), 0o444)
    wrong = cluster.failures()
    assert f"identity of {CLIENT}: does not carry the names that the state has" in wrong
    assert any(said.startswith(f"key of {CLIENT}") for said in wrong)
    replaced(path, b"nothing", 0o444)
    (said,) = cluster.failures()
    assert said == f"file of {CLIENT}: {path} holds no certificate in PEM."
    path.unlink()
    (said,) = cluster.failures()
    assert "No such file or directory" in said


def test_published_files_that_were_changed(cluster: Tool) -> None:
    replaced(cluster.path / "published/denied.json", b"{}")
    assert "is no deny list" in cluster.refused("verify")
    replaced(cluster.path / "published/denied.json", b'{"serials": [], "spiffeIds": []}')
    (said,) = cluster.failures()
    assert "denied.json differs from the state: run renew" in said
    cluster.json("renew")
    assert cluster.failures() == []


def test_a_revocation_list_that_is_out_of_date(cluster: Tool) -> None:
    cluster.later = timedelta(days=31)
    (said, _) = cluster.failures()
    assert "the revocation list of CN=Perdure intermediate 1,O=example.com is out of date" in said
    cluster.json("renew")
    assert cluster.failures() == []


def by_files(tool: Tool, name: str, *more: object) -> tuple[object, ...]:
    certificate, key = tool.certificate(name), tool.key(name)
    return ("--certificate", certificate, "--key", key, "--trust", tool.trust, *more)


def test_by_files(cluster: Tool) -> None:
    assert cluster.failures(*by_files(cluster, CLIENT, "--usage", "client")) == []
    (said,) = cluster.failures(*by_files(cluster, CLIENT, "--usage", "server"))
    assert "may not be used as a server: issue it for a role that may" in said
    for fits in ("localhost", "127.0.0.1", "LOCALHOST"):
        named = by_files(cluster, NODE, "--usage", "server", "--server-name", fits)
        assert cluster.failures(*named) == []
    (said,) = cluster.failures(*by_files(cluster, NODE, "--server-name", "h2"))
    assert "does not carry the name h2 (it has: localhost, 127.0.0.1)" in said
    assert "Say what the certificate is measured by" in cluster.refused(
        "verify", "--certificate", cluster.certificate(CLIENT)
    )


def test_a_wildcard_fits_one_label(cluster: Tool) -> None:
    name = cluster.issue("frontend", "h1", "--dns", "*.example.com")
    for wanted, fits in (("a.example.com", True), ("a.b.example.com", False), ("com", False)):
        wrong = cluster.failures(*by_files(cluster, name, "--server-name", wanted))
        assert (wrong == []) is fits


def test_another_authority(cluster: Tool, tmp_path: Path) -> None:
    foreign = Foreign.made(tmp_path / "foreign")
    files = foreign.leaf("leaf")
    (said,) = cluster.failures(*files, "--trust", cluster.trust)
    assert said == "chain of leaf.chain: no trusted authority signed CN=foreign intermediate"
    assert cluster.failures(*files, "--trust", foreign.root, "--usage", "client") == []
    (foreign.path / "leaf.only").write_bytes((foreign.path / "leaf.crt").read_bytes())
    (said,) = cluster.failures("--certificate", foreign.path / "leaf.only", "--trust", foreign.root)
    assert "no trusted authority signed CN=foreign leaf" in said


def test_a_leaf_is_no_authority(cluster: Tool, tmp_path: Path) -> None:
    foreign = Foreign.made(tmp_path / "foreign")
    foreign.leaf("leaf")
    foreign.sign("below", "subjectAltName=DNS:x\n", by="leaf")
    chain = foreign.chain("below", "leaf", "intermediate")
    (said,) = cluster.failures("--certificate", chain, "--trust", foreign.root)
    assert said == "chain of below.chain: CN=foreign leaf is no authority"
    foreign.sign(
        "deeper", "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n", by="intermediate"
    )
    foreign.sign("below", "subjectAltName=DNS:x\n", by="deeper")
    chain = foreign.chain("below", "deeper", "intermediate")
    (said,) = cluster.failures("--certificate", chain, "--trust", foreign.root)
    assert "CN=foreign intermediate allows no authorities below it" in said
    foreign.sign("root", "basicConstraints=critical,CA:TRUE\nkeyUsage=cRLSign\n", by=None)
    foreign.sign("below", "subjectAltName=DNS:x\n", by="root")
    chain = foreign.chain("below")
    (said,) = cluster.failures("--certificate", chain, "--trust", foreign.root)
    assert "CN=foreign root may not sign certificates" in said


@pytest.fixture
def files(cluster: Tool) -> Files:
    """Returns what a listener of the node has."""
    return Files(cluster.certificate(NODE), cluster.key(NODE), cluster.trust)


Connected = Callable[..., list[str]]


@pytest.fixture(params=["folder", "files"])
def connected(request: pytest.FixtureRequest, cluster: Tool) -> Connected:
    """Returns the failures of a handshake, as a probe of the folder and as a client with files."""
    client = by_files(cluster, CLIENT) if request.param == "files" else ()

    def verify(peer: str, *more: object) -> list[str]:
        return [
            said.removeprefix(peer.partition("=")[0]).split(": ", 1)[1]
            for said in cluster.failures(*client, "--connect", peer, *more)
        ]

    return verify


def test_a_listener(files: Files, connected: Connected) -> None:
    with listening(files) as address:
        assert connected(address) == []
        assert connected(f"{address}=localhost") == []


def test_a_listener_of_tls_1_2(files: Files, connected: Connected) -> None:
    with listening(files, newest=ssl.TLSVersion.TLSv1_2) as address:
        assert connected(address) == []


def test_a_listener_that_lets_anybody_in(files: Files, connected: Connected) -> None:
    with listening(files, asks=False) as address:
        assert connected(address) == [
            "accepts a client without a certificate: set requireClientAuth"
        ]
        assert connected(address, "--allow-anonymous") == []


def test_a_listener_with_another_name(files: Files, connected: Connected) -> None:
    with listening(files) as address:
        (said,) = connected(f"{address}=other.example.com")
        assert said.startswith("its certificate is refused: Hostname mismatch")


def test_a_listener_of_another_authority(
    cluster: Tool, connected: Connected, tmp_path: Path
) -> None:
    foreign = Foreign.made(tmp_path / "foreign")
    foreign.leaf("leaf", names="IP:127.0.0.1")
    chain = foreign.chain("leaf", "intermediate")
    with listening(Files(chain, foreign.key("leaf"), cluster.trust)) as address:
        (said,) = connected(address)
        assert said.startswith("its certificate is refused: ")


def test_a_listener_that_trusts_another_authority(
    files: Files, connected: Connected, tmp_path: Path
) -> None:
    foreign = Foreign.made(tmp_path / "foreign")
    with listening(Files(files.certificate, files.key, foreign.root)) as address:
        (said,) = connected(address)
        assert said.startswith("refuses the client: ")
    with listening(
        Files(files.certificate, files.key, foreign.root), newest=ssl.TLSVersion.TLSv1_2
    ) as address:
        (said,) = connected(address)
        assert said.startswith("ends the handshake: ")


def test_a_listener_that_is_no_grpc(files: Files, connected: Connected) -> None:
    with listening(files, protocols=()) as address:
        assert connected(address) == ["does not speak HTTP/2 (no ALPN): is it a gRPC listener?"]


def test_no_listener(connected: Connected) -> None:
    assert connected("127.0.0.1:1") == ["cannot be reached: Connection refused"]


def test_a_listener_without_tls(connected: Connected) -> None:
    with plain() as address:
        (said,) = connected(address)
    assert said.startswith(("ends the handshake: ", "closes the connection: "))


def test_a_client_without_a_key(cluster: Tool) -> None:
    files = ("--certificate", cluster.certificate(CLIENT), "--trust", cluster.trust)
    said = cluster.refused("verify", *files, "--connect", "127.0.0.1:1")
    assert "with a certificate and its key: --key FILE" in said
