"""The section `global.tls`: what it may say, and the variables that stand for it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure.config import file
from perdure.config.errors import ConfigError
from perdure.config.tls import Tls

PAIR = {"certFile": "c", "keyFile": "k"}
MUTUAL = {**PAIR, "clientCaFiles": ["ca"], "requireClientAuth": True}
TRUST = {"rootCaFiles": ["ca"]}


def read(path: Path, section: object, environment: dict[str, str] | None = None) -> Tls:
    told = {} if section is None else {"global": {"tls": section}}
    path.write_text(yaml.safe_dump(told), "utf-8")
    return file.read(path, environment or {}).config.global_.tls


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perdure.yaml"


def test_without_the_section_there_is_no_tls(path: Path) -> None:
    tls = read(path, None)
    assert not tls.frontend.server.given
    assert not tls.internode.server.given


def test_a_section_is_read_by_temporals_keys(path: Path) -> None:
    tls = read(
        path,
        {
            "frontend": {"server": MUTUAL, "hostOverrides": {"a.example.com": MUTUAL}},
            "internode": {"server": MUTUAL, "client": {**TRUST, "serverName": "node"}},
            "systemWorker": PAIR,
            "refreshInterval": "30s",
        },
    )
    assert tls.frontend.host_overrides["a.example.com"].client_ca_files == ["ca"]
    assert tls.internode.client.server_name == "node"
    assert tls.system_worker.given
    assert tls.refresh_interval == "30s"


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"frontend": {"server": {"certFile": "c"}}}, "a certificate and its key go together"),
        ({"frontend": {"server": {"keyData": "c"}}}, "a certificate and its key go together"),
        (
            {"frontend": {"server": {**PAIR, "certData": "c"}}},
            "certFile and certData both say what is used: leave out one",
        ),
        (
            {"frontend": {"server": {**PAIR, "requireClientAuth": True}}},
            "requireClientAuth needs the authorities whose clients are let in",
        ),
        (
            {"frontend": {"server": {"clientCaFiles": ["ca"]}}},
            "a port has TLS only with a certificate",
        ),
        (
            {"frontend": {"client": {"disableHostVerification": True}}},
            "disableHostVerification is not supported, .* give serverName",
        ),
        (
            {"frontend": {"server": MUTUAL, "hostOverrides": {"a.b": PAIR}}},
            "hostOverrides.a.b wants other clients than server does, .* run a second frontend",
        ),
        (
            {"frontend": {"server": MUTUAL, "hostOverrides": {"a.b": {}}}},
            "hostOverrides.a.b needs a certFile",
        ),
        (
            {"frontend": {"hostOverrides": {"a.b": PAIR}}},
            "hostOverrides are exceptions from server",
        ),
        ({"internode": {"server": PAIR}}, "nodes must know whom to trust"),
        (
            {"frontend": {"server": PAIR}, "denyFile": "denied.json"},
            "denyFile has no effect where no client shows a certificate",
        ),
        ({"refreshInterval": "soon"}, '"soon": a duration wants'),
        ({"frontend": {"server": {"cert_file": "c"}}}, 'unknown key .*did you mean "certFile"'),
        (
            {"frontend": {"server": PAIR, "hostOverrides": {"a.b": {"certFiel": "c"}}}},
            'unknown key .*hostOverrides.a.b.certFiel" .did you mean "certFile"',
        ),
        ({"remoteClusters": {}}, 'unknown key "global.tls.remoteClusters"'),
    ],
)
def test_what_cannot_be_is_said_with_its_line(path: Path, section: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=rf"{path}:\d+: .*{sentence}"):
        read(path, section)


VARIABLES = {
    "TEMPORAL_TLS_REQUIRE_CLIENT_AUTH": "true",
    "TEMPORAL_TLS_SERVER_CERT": "node.pem",
    "TEMPORAL_TLS_SERVER_KEY": "node.key",
    "TEMPORAL_TLS_SERVER_CA_CERT": "nodes.pem",
    "TEMPORAL_TLS_INTERNODE_SERVER_NAME": "node",
    "TEMPORAL_TLS_FRONTEND_CERT_DATA": "Y2VydA==",
    "TEMPORAL_TLS_FRONTEND_KEY_DATA": "a2V5",
    "TEMPORAL_TLS_CLIENT1_CA_CERT": "one.pem",
    "TEMPORAL_TLS_CLIENT2_CA_CERT": "two.pem",
    "TEMPORAL_TLS_REFRESH_INTERVAL": "0s",
    "TEMPORAL_TLS_INTERNODE_DISABLE_HOST_VERIFICATION": "false",
}


def test_variables_stand_for_the_section(path: Path) -> None:
    tls = read(path, None, VARIABLES)
    assert tls.internode.server.cert_file == "node.pem"
    assert tls.internode.server.require_client_auth
    assert tls.internode.server.client_ca_files == ["nodes.pem"]
    assert tls.internode.client.root_ca_files == ["nodes.pem"]
    assert tls.internode.client.server_name == "node"
    assert tls.frontend.server.key_data == "a2V5"
    assert tls.frontend.server.client_ca_files == ["one.pem", "two.pem"]
    assert tls.refresh_interval == "0s"


def test_a_section_goes_before_all_variables(path: Path) -> None:
    assert not read(path, {}, VARIABLES).frontend.server.given


def test_a_variable_with_a_wrong_value_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="TEMPORAL_TLS_REQUIRE_CLIENT_AUTH wants true or false"):
        read(path, None, {**VARIABLES, "TEMPORAL_TLS_REQUIRE_CLIENT_AUTH": "perhaps"})


def test_keys_are_not_shown(path: Path) -> None:
    assert "a2V5" not in repr(read(path, None, VARIABLES))
