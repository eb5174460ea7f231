"""The section `global.authorization`: what is taken, and what is refused in which words."""

from pathlib import Path

import pytest

from perdure.config import file
from perdure.config.authorization import Authorization
from perdure.config.errors import ConfigError

KEYS = "jwtKeyProvider: {keySourceURIs: ['https://issuer.example.com/keys']}"
ON = "authorizer: default, claimMapper: default"


def read(tmp_path: Path, section: str, tls: str = "") -> Authorization:
    path = tmp_path / "perdure.yml"
    path.write_text(f"global:\n  authorization: {{{section}}}\n{tls}", "utf-8")
    return file.read(path, {}).config.global_.authorization


def refusal(tmp_path: Path, section: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, section)
    return str(caught.value).replace(str(tmp_path / "perdure.yml"), "FILE")


def test_without_the_section_there_is_no_authorizer(tmp_path: Path) -> None:
    assert read(tmp_path, "").authorizer == ""


def test_all_of_it(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "jwtKeyProvider: {keySourceURIs: ['', 'file:///etc/keys.json', ' https://a/b '],"
        " refreshInterval: 5m}, permissionsClaimName: roles,"
        " permissionsRegex: '(?P<namespace>.+)/(?P<role>.+)', authorizer: Default,"
        " claimMapper: DEFAULT, authHeaderName: X-Token, authExtraHeaderName: extra,"
        " audience: temporal, certificates: {trustDomain: example.com,"
        " subjects: {'CN=desk-1,O=example.com': ['orders:read', 'temporal-system:admin']}}",
    )
    assert found.authorizer == found.claim_mapper == "default"
    assert found.jwt_key_provider.sources == ["file:///etc/keys.json", "https://a/b"]
    assert found.certificates.trust_domain == "example.com"


def test_what_temporals_containers_write_when_it_is_off(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "jwtKeyProvider: {keySourceURIs: ['', ''], refreshInterval: 1m},"
        " permissionsClaimName: permissions, authorizer: '', claimMapper: ''",
    )
    assert found.authorizer == ""


def test_certificates_alone(tmp_path: Path) -> None:
    section = f"{ON}, certificates: {{trustDomain: example.com}}"
    tls = (
        "  tls: {frontend: {server: {certFile: a, keyFile: b, requireClientAuth: true,"
        " clientCaFiles: [c]}}}\n"
    )
    assert read(tmp_path, section, tls).authorizer == "default"
    assert "clients need certificates" in refusal(tmp_path, section)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (f"authorizer: default, {KEYS}", "needs claimMapper: default beside it"),
        (ON, "lets nobody in: name key sets"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: ['']}}", "lets nobody in"),
        (KEYS, "jwtKeyProvider.keySourceURIs has no effect without authorizer: default"),
        ("claimMapper: default", "claimMapper has no effect without"),
        ("audience: temporal", "audience has no effect without"),
        ("certificates: {trustDomain: a}", "certificates has no effect without"),
        ("permissionsRegex: '(?P<namespace>.)(?P<role>.)'", "permissionsRegex has no effect"),
        (f"{ON}, {KEYS}, permissionsRegex: '('", "permissionsRegex is no regular expression"),
        (f"{ON}, {KEYS}, permissionsRegex: '.+'", "needs the groups"),
        (f"{ON}, {KEYS}, authHeaderName: 'a b'", "cannot be the name of a header"),
        (f"{ON}, {KEYS}, authHeaderName: a-bin", "cannot be the name of a header"),
        ("authorizer: opa", "is \"opa\", not one of '' or 'default'"),
        ("authoriser: default", 'unknown key "global.authorization.authoriser" (did you mean'),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: [ftp://a/b]}}", "must begin with https://"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: [keys.json]}}", "must begin with https://"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: ['http:///b']}}", "names no host"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: ['file://a/b']}}", "a file of this host"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: ['https://u:p@a/']}}", "no password"),
        (f"{ON}, jwtKeyProvider: {{keySourceURIs: ['http://[a/']}}", "is no URI"),
        (f"{ON}, jwtKeyProvider: {{refreshInterval: soon}}", "a duration wants"),
        (f"{ON}, {KEYS}, certificates: {{trustDomain: A/B}}", "is no trust domain"),
        (f"{ON}, {KEYS}, certificates: {{subjects: {{desk: [a:read]}}}}", "is no subject"),
        (f"{ON}, {KEYS}, certificates: {{subjects: {{'': [a:read]}}}}", "is no subject"),
        (f"{ON}, {KEYS}, certificates: {{subjects: {{CN=a: [a:own]}}}}", "is no permission"),
        (f"{ON}, {KEYS}, certificates: {{subjects: {{CN=a: [':read']}}}}", "is no permission"),
    ],
)
def test_what_is_refused(tmp_path: Path, section: str, sentence: str) -> None:
    found = refusal(tmp_path, section)
    assert found.startswith("FILE:"), found
    assert sentence in found
