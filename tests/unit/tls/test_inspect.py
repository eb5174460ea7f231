"""`perdure tls inspect`: what is in a PEM file."""

from pathlib import Path

import pytest

from unit.tls.tool import DOMAIN, Tool, openssl


def test_a_chain(made: Tool) -> None:
    name = made.issue("history", "h1", "--ip", "10.0.0.1")
    leaf, intermediate = made.json("inspect", made.certificate(name))
    entry = made.state.certificates[name].newest
    assert leaf == {
        "type": "certificate",
        "subject": f"CN=history h1,O={DOMAIN}",
        "issuer": f"CN=Perdure intermediate 1,O={DOMAIN}",
        "serial": entry.serial,
        "not_before": entry.not_before.isoformat(),
        "not_after": entry.not_after.isoformat(),
        "authority": False,
        "usages": ["server", "client"],
        "dns": ["h1"],
        "ips": ["10.0.0.1"],
        "uris": [f"spiffe://{DOMAIN}/ns/temporal-system/role/history/host/h1"],
        "key": "secp256r1",
        "sha256": entry.fingerprint,
    }
    assert (intermediate["authority"], intermediate["usages"]) == (True, [])
    by_openssl = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", made.certificate(name))
    assert by_openssl.strip().split("=")[1].replace(":", "").lower() == entry.fingerprint
    assert "history h1" in made.run("inspect", made.certificate(name)).stdout


def test_keys_requests_and_lists(made: Tool, tmp_path: Path) -> None:
    name = made.issue("client", "w1")
    made.json("revoke", name)
    lists = made.json("inspect", made.path / "published/crl.pem")
    assert [part["type"] for part in lists] == ["revocation list", "revocation list"]
    assert [len(part["revoked"]) for part in lists] == [0, 1]
    (key,) = made.json("inspect", made.path / "roots/1/key.pem")
    assert key == {"type": "key", "key": "secp256r1", "encrypted": False}

    both = tmp_path / "both.pem"
    openssl(
        *("req", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout", tmp_path / "key.pem"),
        *("-subj", "/CN=a", "-addext", "subjectAltName=DNS:a", "-out", tmp_path / "csr.pem"),
    )
    openssl(
        *("pkey", "-in", tmp_path / "key.pem", "-aes256", "-passout", "pass:x"),
        *("-out", tmp_path / "sealed.pem"),
    )
    openssl(
        *("pkey", "-in", tmp_path / "key.pem", "-traditional", "-aes256", "-passout", "pass:x"),
        *("-out", tmp_path / "old.pem"),
    )
    names = ("csr.pem", "key.pem", "sealed.pem", "old.pem")
    parts = [(tmp_path / name).read_text() for name in names]
    both.write_text("a comment\n".join(parts))
    request, key, sealed, old = made.json("inspect", both)
    assert request == {
        "type": "request",
        "subject": "CN=a",
        "signed_by_its_key": True,
        "dns": ["a"],
        "ips": [],
        "uris": [],
        "key": "rsa2048",
    }
    assert key["key"] == "rsa2048"
    assert sealed == old == {"type": "key", "encrypted": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "has no certificate, key, request or revocation list in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is damaged"),
    ],
)
def test_what_is_no_pem_file(tool: Tool, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.pem"
    path.write_text(text)
    assert said in tool.refused("inspect", path)
    assert "No such file or directory" in tool.refused("inspect", tmp_path / "none")
