"""`perdure tls issue`: certificates for roles, with keys made here or by signing requests."""

from pathlib import Path

import pytest

from perdure_tls.identity import USAGES, Role, Usage
from unit.tls.tool import DOMAIN, Tool, openssl

SERVER, CLIENT = "TLS Web Server Authentication", "TLS Web Client Authentication"


def text_of(path: Path) -> str:
    return openssl("x509", "-text", "-noout", "-in", path)


@pytest.mark.parametrize(
    ("role", "namespace", "usages"),
    [
        ("frontend", "temporal-system", [SERVER]),
        ("history", "temporal-system", [SERVER, CLIENT]),
        ("matching", "temporal-system", [SERVER, CLIENT]),
        ("worker", "temporal-system", [SERVER, CLIENT]),
        ("internode", "temporal-system", [SERVER, CLIENT]),
        ("database", "temporal-system", [SERVER]),
        ("monitoring", "temporal-system", [SERVER, CLIENT]),
        ("application-worker", "default", [CLIENT]),
        ("reader", "default", [CLIENT]),
        ("writer", "default", [CLIENT]),
        ("admin", "default", [CLIENT]),
        ("client", "default", [CLIENT]),
    ],
)
def test_roles(made: Tool, role: str, namespace: str, usages: list[str]) -> None:
    name = made.issue(role, "h1.example.com", "--ip", "10.0.0.7", "--dns", "*.svc.local")
    text = text_of(made.certificate(name))
    spiffe_id = f"spiffe://{DOMAIN}/ns/{namespace}/role/{role}/host/h1.example.com"
    assert f"DNS:h1.example.com, DNS:*.svc.local, IP Address:10.0.0.7, URI:{spiffe_id}\n" in text
    assert f"{', '.join(usages)}\n" in text
    assert "CA:FALSE" in text
    assert f"Subject: O = {DOMAIN}, CN = {role} h1.example.com" in text
    purposes = {SERVER: "sslserver", CLIENT: "sslclient"}
    for usage, purpose in purposes.items():
        openssl(
            *("verify", "-x509_strict", "-purpose", purpose, "-CAfile", made.trust),
            *("-untrusted", made.certificate(name), made.certificate(name)),
            code=0 if usage in usages else 2,
        )
    assert made.failures() == []


def test_every_role_is_tested() -> None:
    (mark,) = [m for m in test_roles.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == set(Role) == set(USAGES)
    assert set().union(*USAGES.values()) == set(Usage)


def test_what_is_printed(made: Tool) -> None:
    arguments = ("issue", "--role", "application-worker", "--host", "w1", "--namespace", "orders")
    (issued,) = made.json(*arguments, "--lifetime", "24h")["issued"]
    state = made.state.certificates["application-worker-orders-w1"].newest
    assert issued == {
        "name": "application-worker-orders-w1",
        "serial": state.serial,
        "not_after": state.not_after.isoformat(),
        "spiffe_id": f"spiffe://{DOMAIN}/ns/orders/role/application-worker/host/w1",
        "certificate": str(made.certificate("application-worker-orders-w1")),
        "key": str(made.key("application-worker-orders-w1")),
        "trust": str(made.trust),
    }
    assert (state.not_after - made.now()).total_seconds() == pytest.approx(86400, abs=60)
    assert "spiffe id" in made.run("issue", "--role", "client", "--host", "h2").stdout


def test_an_address_as_host(made: Tool) -> None:
    name = made.issue("history", "10.1.2.3")
    assert f"IP Address:10.1.2.3, URI:spiffe://{DOMAIN}/" in text_of(made.certificate(name))
    assert "DNS:" not in text_of(made.certificate(name))


def test_many_hosts_at_once(made: Tool, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# workers\nw1\n\nw2.example.com\nw1\n")
    issued = made.json("issue", "--role", "client", "--hosts", hosts, "--host", "w3")["issued"]
    names = [f"client-default-{host}" for host in ("w3", "w1", "w2.example.com")]
    assert [entry["name"] for entry in issued] == names
    assert list(made.state.certificates) == sorted(names, key=names.index)
    assert made.failures() == []


def test_many_hosts_all_or_none(made: Tool) -> None:
    made.issue("client", "w2")
    said = made.refused("issue", "--role", "client", "--host", "w1", "--host", "w2")
    assert "There is a certificate client-default-w2 already" in said
    assert list(made.state.certificates) == ["client-default-w2"]
    said = made.refused("issue", "--role", "client", "--host", "A", "--host", "a")
    assert "Two certificates would have the name client-default-a" in said
    made.json("renew")
    assert [path.name for path in made.path.glob("certificates/*")] == ["client-default-w2"]
    said = made.refused("issue", "--role", "client", "--host", "a", "--host", "b", "--name", "n")
    assert "--name and --csr are of one certificate" in said
    assert "Say for which host" in made.refused("issue", "--role", "client")


def request(folder: Path, *more: str, key: tuple[str, ...] = ()) -> Path:
    key = key or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    path = folder / "request.pem"
    openssl(
        *("req", "-new", "-nodes", *key, "-keyout", folder / "own.pem", "-out", path),
        *("-subj", "/CN=anything", *more),
    )
    return path


def test_a_signing_request(made: Tool, tmp_path: Path) -> None:
    csr = request(tmp_path, "-addext", "subjectAltName=DNS:w1")
    name = made.issue("client", "w1", "--csr", csr)
    assert not made.key(name).exists()
    assert made.failures() == []
    leaf, trust = made.certificate(name), made.trust
    (tmp_path / "own.pem").chmod(0o400)
    files = ("--certificate", leaf, "--key", tmp_path / "own.pem", "--trust", trust)
    assert made.failures(*files, "--usage", "client") == []
    text = text_of(leaf)
    assert "CN = client w1" in text  # and not what was asked for
    assert f"URI:spiffe://{DOMAIN}/ns/default/role/client/host/w1" in text
    made.json("renew", "--force", name)
    assert made.failures(*files) == []


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        (("-addext", "subjectAltName=DNS:other"), (), "asks for the name other"),
        (
            ("-addext", "subjectAltName=URI:spiffe://example.com/ns/x/role/admin/host/w1"),
            (),
            "asks for the name spiffe://example.com/ns/x/role/admin/host/w1",
        ),
        (("-addext", "basicConstraints=CA:TRUE"), (), "asks for an authority"),
        (("-addext", "nameConstraints=permitted;DNS:a"), (), "asks for the extension 2.5.29.30"),
        ((), ("-newkey", "rsa:1024"), "The key is refused"),
        ((), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"), "The key is refused"),
        ((), ("-newkey", "ed25519"), "The key is refused"),
    ],
)
def test_a_request_that_is_refused(
    made: Tool, tmp_path: Path, more: tuple[str, ...], key: tuple[str, ...], said: str
) -> None:
    csr = request(tmp_path, *more, key=key)
    assert said in made.refused("issue", "--role", "client", "--host", "w1", "--csr", csr)
    assert made.state.certificates == {}


def test_a_request_that_is_none(made: Tool, tmp_path: Path) -> None:
    csr = tmp_path / "request.pem"
    arguments = ("issue", "--role", "client", "--host", "w1", "--csr", csr)
    assert "cannot be read: No such file or directory" in made.refused(*arguments)
    csr.write_text("nothing")
    assert "holds no certificate signing request in PEM" in made.refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "a/b"), "cannot stand in a SPIFFE id"),
        (("--host", ".."), "cannot stand in a SPIFFE id"),
        (("--host", "fe80::1"), "addresses by --ip"),
        (("--host", "h", "--namespace", "a b"), "The namespace 'a b' cannot stand"),
        (("--host", "h", "--dns", "-a"), "'-a' is no DNS name"),
        (("--host", "h", "--dns", "a..b"), "'a..b' is no DNS name"),
        (("--host", "h", "--ip", "10.0.0.256"), "'10.0.0.256' is no IP address"),
        (("--host", "h", "--name", "../x"), "'../x' cannot name a certificate"),
        (("--host", "h", "--name", "A"), "'A' cannot name a certificate"),
        (("--host", "h", "--lifetime", "731d"), "rotate the intermediate first"),
    ],
)
def test_what_is_refused(made: Tool, arguments: tuple[str, ...], said: str) -> None:
    assert said in made.refused("issue", "--role", "client", *arguments)
    assert made.state.certificates == {}


def test_a_name_is_given_once(made: Tool) -> None:
    name = made.issue("client", "w1")
    said = made.refused("issue", "--role", "client", "--host", "w1")
    assert f"There is a certificate {name} already: perdure tls renew --force {name}" in said


@pytest.mark.parametrize(("mode", "fine"), [(0o400, True), (0o440, True), (0o404, False)])
def test_an_intermediates_key_that_others_read(made: Tool, mode: int, fine: bool) -> None:
    key = made.path / "intermediates/1/key.pem"
    key.chmod(mode)
    if fine:
        made.issue("client", "w1")
        return
    said = made.refused("issue", "--role", "client", "--host", "w1")
    assert f"{key} has mode 0404, so that others can use it: chmod 0400 {key}" in said


def test_a_key_of_another(made: Tool) -> None:
    place = made.path / "intermediates/1"
    place.joinpath("key.pem").unlink()
    place.joinpath("key.pem").write_bytes((made.path / "roots/1/key.pem").read_bytes())
    place.joinpath("key.pem").chmod(0o400)
    assert "is not the key of" in made.refused("issue", "--role", "client", "--host", "w1")
