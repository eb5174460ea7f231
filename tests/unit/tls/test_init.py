"""`perdure tls init`: the authority's folder, its certificates and keys."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from unit.tls.tool import DOMAIN, Tool, openssl


def passphrase(folder: Path, name: str, text: str = "correct horse") -> Path:
    path = folder / name
    path.write_text(text + "\n")
    path.chmod(0o400)
    return path


def modes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_folder(made: Tool) -> None:
    assert modes(made.path) == {
        "intermediates/1/certificate.pem": "0o444",
        "intermediates/1/crl-1.pem": "0o444",
        "intermediates/1/key.pem": "0o400",
        "lock": "0o600",
        "published/crl.pem": "0o444",
        "published/denied.json": "0o444",
        "published/trust.pem": "0o444",
        "roots/1/certificate.pem": "0o444",
        "roots/1/crl-1.pem": "0o444",
        "roots/1/key.pem": "0o400",
        "state.json": "0o644",
    }


def test_the_authorities_as_openssl_reads_them(made: Tool) -> None:
    root = openssl("x509", "-text", "-noout", "-in", made.path / "roots/1/certificate.pem")
    assert f"Subject: O = {DOMAIN}, CN = Perdure root 1" in root
    assert "CA:TRUE, pathlen:1" in root
    assert "Certificate Sign, CRL Sign" in root
    assert "NIST CURVE: P-256" in root
    below = openssl("x509", "-text", "-noout", "-in", made.path / "intermediates/1/certificate.pem")
    assert "CA:TRUE, pathlen:0" in below
    assert f"Issuer: O = {DOMAIN}, CN = Perdure root 1" in below
    assert "OK" in openssl(
        "verify", "-CAfile", made.trust, made.path / "intermediates/1/certificate.pem"
    )


def test_lifetimes_and_kinds_of_keys(tool: Tool) -> None:
    tool.init("--root-lifetime", "100d", "--intermediate-lifetime", "50d", "--key-type", "p384")
    state = tool.state
    assert (state.roots[1].not_after - tool.now()).days in {99, 100}
    assert (state.intermediates[1].not_after - tool.now()).days in {49, 50}
    (root,) = tool.json("inspect", tool.trust)
    assert root["key"] == "secp384r1"


def test_keys_with_passphrases(tool: Tool, tmp_path: Path) -> None:
    of_root, of_intermediate = passphrase(tmp_path, "root", "one"), passphrase(tmp_path, "two")
    tool.init("--root-passphrase-file", of_root, "--passphrase-file", of_intermediate)
    for place in ("roots/1", "intermediates/1"):
        assert "BEGIN ENCRYPTED PRIVATE KEY" in (tool.path / place / "key.pem").read_text()
    openssl("pkey", "-noout", "-in", tool.path / "roots/1/key.pem", "-passin", "pass:one")
    issue = ("issue", "--role", "client", "--host", "h")
    assert "is encrypted: name a file with its passphrase" in tool.refused(*issue)
    assert "the passphrase is wrong" in tool.refused(*issue, "--passphrase-file", of_root)
    tool.json(*issue, "--passphrase-file", of_intermediate)


def test_rotations_do_not_lose_the_passphrases(tool: Tool, tmp_path: Path) -> None:
    of_root, of_intermediate = passphrase(tmp_path, "root", "one"), passphrase(tmp_path, "two")
    both = ("--root-passphrase-file", of_root, "--passphrase-file", of_intermediate)
    tool.init(*both, "--key-type", "p384")
    rotate = ("rotate", "root", "--without-peers", "--overlap", "1s")
    assert "give --root-passphrase-file for the new one too" in tool.refused(*rotate)
    assert "give --passphrase-file for the new one too" in tool.refused(*rotate, *both[:2])
    for seconds in (2, 4):
        tool.json(*rotate, *both, code=3)
        tool.later = timedelta(seconds=seconds)
    tool.json("rotate", "resume", *both)
    for place in ("roots/2", "intermediates/2"):
        assert "BEGIN ENCRYPTED PRIVATE KEY" in (tool.path / place / "key.pem").read_text()
        (certificate,) = tool.json("inspect", tool.path / place / "certificate.pem")
        assert certificate["key"] == "secp384r1"


def test_an_authority_is_made_once(made: Tool) -> None:
    before = made.path.joinpath("state.json").read_bytes()
    assert "holds an authority already" in made.refused("init", "--trust-domain", DOMAIN)
    assert made.path.joinpath("state.json").read_bytes() == before


@pytest.mark.parametrize("domain", ["", "Example.com", "a/b", "spiffe://a"])
def test_no_trust_domain(tool: Tool, domain: str) -> None:
    assert "is no trust domain" in tool.refused("init", "--trust-domain", domain)


def test_a_folder_of_others(tool: Tool) -> None:
    tool.path.mkdir()
    (tool.path / "notes.txt").write_text("mine")
    assert "is not empty (notes.txt)" in tool.refused("init", "--trust-domain", DOMAIN)


@pytest.mark.parametrize("lifetime", ["0d", "10", "-1d", "1w", "ten days"])
def test_no_lifetime(tool: Tool, lifetime: str) -> None:
    said = tool.refused("init", "--trust-domain", DOMAIN, "--root-lifetime", lifetime)
    assert "is no duration: write it like 90d, 24h or 30m" in said


def test_an_intermediate_that_would_outlive_its_root(tool: Tool) -> None:
    said = tool.refused("init", "--trust-domain", DOMAIN, "--root-lifetime", "30d")
    assert "choose a shorter lifetime" in said
    tool.init("--root-lifetime", "30d", "--intermediate-lifetime", "20d")


def test_what_is_said_to_people(tool: Tool) -> None:
    result = tool.run("init", "--trust-domain", DOMAIN)
    assert result.exit_code == 0
    assert "trust domain" in result.stdout
    assert "Move the root's key to where no network reaches" in result.stdout


@pytest.mark.parametrize("command", ["issue --role client --host h", "renew", "expiring", "verify"])
def test_a_folder_without_an_authority(tool: Tool, command: str) -> None:
    assert "holds no authority: make one with perdure tls init" in tool.refused(*command.split())


def test_a_damaged_state(made: Tool) -> None:
    text = made.path.joinpath("state.json").read_text()
    for damage, said in (
        (text[:100], "is damaged"),
        (text.replace('"trustDomain"', '"trustDoman"'), "is damaged: trustDomain: Field required"),
        (text.replace('"version": 1', '"version": 2, "more": {}'), "is of another release"),
        (text.replace('"issuer": 1', '"issuer": "one"'), "is damaged: issuer: "),
    ):
        made.path.joinpath("state.json").unlink()
        made.path.joinpath("state.json").write_text(damage)
        assert said in made.refused("renew")
