"""`perdure tls import`: what step-ca, Vault, cert-manager and others made, as openssl makes it."""

from datetime import timedelta
from pathlib import Path

import pytest

from unit.tls.foreign import Foreign
from unit.tls.tool import DOMAIN, Tool, openssl

ID = f"spiffe://{DOMAIN}/ns/temporal-system/role/internode/host/h1"


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    """Returns another authority."""
    return Foreign.made(tmp_path / "foreign")


@pytest.fixture
def taken(tool: Tool, foreign: Foreign) -> Tool:
    """Returns the command line, in a folder that trusts the other authority."""
    tool.json("import", "roots", foreign.root, "--trust-domain", DOMAIN)
    return tool


def imported(tool: Tool, files: tuple[object, ...], *more: object) -> str:
    return str(tool.json("import", "leaf", *files, *more)["name"])


def test_a_leaf_with_a_spiffe_id(taken: Tool, foreign: Foreign) -> None:
    files = foreign.leaf("leaf", names=f"DNS:h1,IP:10.0.0.1,URI:{ID}")
    name = imported(taken, files)
    assert name == "internode-h1"
    assert taken.failures() == []
    assert oct(taken.key(name).stat().st_mode & 0o777) == "0o400"
    openssl(
        *("verify", "-CAfile", taken.trust, "-untrusted", taken.certificate(name)),
        taken.certificate(name),
    )
    assert taken.trust.read_bytes() == foreign.root.read_bytes()
    identity = taken.state.certificates[name].identity
    assert (identity.role, identity.dns, identity.ips) == ("internode", ("h1",), ("10.0.0.1",))


def test_a_leaf_without_a_spiffe_id(taken: Tool, foreign: Foreign) -> None:
    files = foreign.leaf("leaf")
    said = taken.refused("import", "leaf", *files)
    assert "has no SPIFFE id of example.com: say --role and --host" in said
    who = ("--role", "application-worker", "--host", "w1", "--namespace", "orders")
    assert imported(taken, files, *who) == "application-worker-orders-w1"
    assert imported(taken, files, *who, "--name", "other") == "other"
    assert taken.failures() == []


def test_the_next_leaf(taken: Tool, foreign: Foreign) -> None:
    names = f"DNS:h1,URI:{ID}"
    name = imported(taken, foreign.leaf("leaf", names=names))
    first = taken.certificate(name).read_bytes()
    imported(taken, foreign.leaf("leaf", names=names))
    assert taken.certificate(name).read_bytes() != first
    for _ in range(2):  # the same again changes nothing
        imported(
            taken,
            ("--certificate", foreign.chain("leaf", "intermediate"), "--key", foreign.key("leaf")),
        )
        held = sorted(path.name for path in taken.folder.holder(name).iterdir())
        assert held == ["1", "2", "current"]
    assert taken.failures() == []


def test_it_is_watched_and_revoked_but_not_renewed(taken: Tool, foreign: Foreign) -> None:
    name = imported(taken, foreign.leaf("leaf", names=f"DNS:h1,URI:{ID}"))
    taken.later = timedelta(days=25)
    (entry,) = [e for e in taken.json("expiring", code=3) if e["kind"] == "leaf"]
    assert (entry["name"], entry["standing"]) == (name, "soon")
    assert taken.json("renew")["renewed"] == []
    assert "get a new one there, and import it" in taken.refused("renew", "--force", name)
    assert "All certificates are imported" in taken.refused("rotate", "leaf", "--without-peers")
    assert "signs nothing itself" in taken.refused("issue", "--role", "client", "--host", "w")
    serial = taken.state.certificates[name].newest.serial
    taken.json("revoke", "--serial", serial)
    assert taken.failures() == [f"revocation of {name}: its serial number is on the deny list"]
    files = ("--certificate", foreign.chain("leaf", "intermediate"), "--key", foreign.key("leaf"))
    assert "is on the deny list" in taken.refused("import", "leaf", *files)


def test_what_a_peer_would_refuse(taken: Tool, foreign: Foreign, tmp_path: Path) -> None:
    files = foreign.leaf("leaf", names=f"DNS:h1,URI:{ID}", usages="serverAuth")
    assert "may not be used as a client" in taken.refused("import", "leaf", *files)
    assert f"The certificate is that of {ID}" in taken.refused(
        "import", "leaf", *files, "--host", "h2"
    )
    files = foreign.leaf("leaf", names=f"DNS:h1,URI:{ID}")
    key = foreign.key("leaf")
    key.chmod(0o644)
    assert f"{key} has mode 0644" in taken.refused("import", "leaf", *files)
    key.chmod(0o600)
    wrong = (*files[:2], "--key", foreign.key("intermediate"))
    assert "is the key of another certificate" in taken.refused("import", "leaf", *wrong)
    alone = ("--certificate", foreign.path / "leaf.crt", *files[2:])
    assert "no trusted authority signed" in taken.refused("import", "leaf", *alone)
    stranger = Foreign.made(tmp_path / "stranger").leaf("leaf", names=f"DNS:h1,URI:{ID}")
    assert "no trusted authority signed" in taken.refused("import", "leaf", *stranger)
    taken.later = timedelta(days=31)
    assert "expired at" in taken.refused("import", "leaf", *files)
    assert taken.state.certificates == {}


def test_a_bundle_changes_as_the_other_authority_does(
    taken: Tool, foreign: Foreign, tmp_path: Path
) -> None:
    name = imported(taken, foreign.leaf("leaf", names=f"DNS:h1,URI:{ID}"))
    other = Foreign.made(tmp_path / "other")
    said = taken.refused("import", "roots", other.root)
    assert f"The bundle lacks the root of {name}: give the old root too" in said
    both = tmp_path / "both.pem"
    both.write_bytes(foreign.root.read_bytes() + other.root.read_bytes())
    assert list(taken.json("import", "roots", both)["roots"]) == ["1", "2"]
    assert taken.trust.read_bytes() == both.read_bytes()
    imported(taken, other.leaf("leaf", names=f"DNS:h1,URI:{ID}"))
    assert list(taken.json("import", "roots", other.root)["roots"]) == ["2"]
    assert taken.trust.read_bytes() == other.root.read_bytes()
    assert [path.name for path in taken.path.glob("roots/*")] == ["2"]
    assert taken.failures() == []


def test_what_is_no_bundle_of_roots(tool: Tool, foreign: Foreign, tmp_path: Path) -> None:
    said = tool.refused("import", "roots", foreign.root)
    assert "holds no authority: make it with --trust-domain" in said
    begin = ("--trust-domain", DOMAIN)
    wrong = foreign.path / "intermediate.crt"
    assert "is not signed by itself" in tool.refused("import", "roots", wrong, *begin)
    foreign.sign("own", "subjectAltName=DNS:a\n", by=None)
    own = foreign.path / "own.crt"
    assert "is no authority" in tool.refused("import", "roots", own, *begin)
    tool.later = timedelta(days=101)
    assert "expired at" in tool.refused("import", "roots", foreign.root, *begin)
    tool.later = timedelta()
    tool.json("import", "roots", foreign.root, *begin)
    assert "leave --trust-domain out" in tool.refused("import", "roots", foreign.root, *begin)


def test_beside_an_authority_of_our_own(made: Tool, foreign: Foreign) -> None:
    ours = made.issue("client", "w1")
    roots = made.json("import", "roots", foreign.root)["roots"]
    assert list(roots) == ["1", "2"]
    theirs = imported(made, foreign.leaf("leaf", names=f"DNS:h1,URI:{ID}"))
    assert made.failures() == []
    files = foreign.leaf("leaf", names="DNS:w1")
    said = made.refused("import", "leaf", *files, "--role", "client", "--host", "w1")
    assert f"The certificate {ours} is signed here" in said
    for days in (1, 2):
        made.json("rotate", "root", "--without-peers", code=3)
        made.later = timedelta(days=days)
    made.json("rotate", "resume")
    assert made.state.trust == (2, 3)
    assert made.state.certificates[theirs].current == 1
    assert made.failures() == []


def authority(foreign: Foreign, name: str = "intermediate") -> tuple[object, ...]:
    return ("--certificate", foreign.chain(name), "--key", foreign.key(name))


def test_an_intermediate_of_another_authority(taken: Tool, foreign: Foreign) -> None:
    taken.json("import", "authority", *authority(foreign))
    name = taken.issue("client", "w1", "--lifetime", "10d")
    assert taken.failures() == []
    leaf = taken.certificate(name)
    openssl("verify", "-CAfile", foreign.root, "-untrusted", leaf, leaf)
    taken.json("revoke", "--serial", taken.state.certificates[name].newest.serial)
    text = openssl("crl", "-text", "-noout", "-in", taken.path / "published/crl.pem")
    assert "Issuer: CN = foreign intermediate" in text
    assert "Revoked Certificates:" in text
    said = taken.refused("rotate", "intermediate", "--without-peers")
    assert "The key of root 1 is away" in said
    taken.json("rotate", "rollback")


def test_the_next_intermediate(taken: Tool, foreign: Foreign) -> None:
    taken.json("import", "authority", *authority(foreign))
    name = taken.issue("client", "w1", "--lifetime", "10d")
    foreign.sign(
        "next",
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n",
        by="root",
    )
    assert taken.json("import", "authority", *authority(foreign, "next"))["intermediate"] == 2
    assert sorted(taken.state.intermediates) == [1, 2]
    assert taken.failures() == []
    taken.json("rotate", "leaf", "--without-peers", code=3)
    said = taken.refused("import", "authority", *authority(foreign))
    assert "A rotation is under way" in said
    taken.later = timedelta(days=1)
    taken.json("rotate", "resume")
    assert taken.state.certificates[name].newest.issuer == 2
    assert taken.failures() == []


def test_what_is_no_authority(taken: Tool, foreign: Foreign) -> None:
    files = foreign.leaf("leaf")
    assert "CN=foreign leaf is no authority" in taken.refused("import", "authority", *files)
    foreign.sign("signs", "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign\n", by="root")
    said = taken.refused("import", "authority", *authority(foreign, "signs"))
    assert "may not sign revocation lists" in said
    wrong = (*authority(foreign)[:2], "--key", foreign.key("root"))
    assert "is the key of another certificate" in taken.refused("import", "authority", *wrong)
    assert taken.state.intermediates == {}


def test_an_authority_with_a_root_of_its_own(made: Tool, foreign: Foreign) -> None:
    said = made.refused("import", "authority", *authority(foreign))
    assert "has a root of its own: perdure tls rotate intermediate" in said


def test_a_key_with_a_passphrase(taken: Tool, foreign: Foreign, tmp_path: Path) -> None:
    sealed, phrase = tmp_path / "sealed.key", tmp_path / "phrase"
    phrase.write_text("secret")
    phrase.chmod(0o400)
    openssl(
        *("pkey", "-in", foreign.key("intermediate"), "-aes256", "-passout", "pass:secret"),
        *("-out", sealed),
    )
    sealed.chmod(0o400)
    files = ("--certificate", foreign.path / "intermediate.crt", "--key", sealed)
    assert "is encrypted" in taken.refused("import", "authority", *files)
    taken.json("import", "authority", *files, "--passphrase-file", phrase)
    assert "ENCRYPTED" in (taken.path / "intermediates/1/key.pem").read_text()
    issue = ("issue", "--role", "client", "--host", "w1", "--lifetime", "10d")
    taken.json(*issue, "--passphrase-file", phrase)
