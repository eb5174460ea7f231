"""Configuration files: what is refused, with file and line."""

from pathlib import Path

import pytest

from perdure.config import file
from perdure.config.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perdure.yml"


def sentence(path: Path, source: str) -> str:
    path.write_text(source, "utf-8")
    with pytest.raises(ConfigError) as caught:
        file.read(path)
    return str(caught.value).replace(str(path), "FILE")


def test_a_whole_file(path: Path) -> None:
    path.write_text(
        """
listeners:
  grpc: {host: 0.0.0.0, port: 7233, advertised: "host-1:7233"}
roles: [frontend, history, matching, worker]
store: {kind: sqlite, path: /var/lib/perdure/perdure.db}
metrics: {host: 0.0.0.0, port: 9090}
logging: {level: warn, format: json}
tracing: {otlp_endpoint: "http://127.0.0.1:4317"}
namespaces: [default, billing]
search_attributes: {CustomerId: Keyword}
settings: {limit.maxIDLength: 255}
""",
        "utf-8",
    )
    read = file.read(path)
    assert read.config.listeners.grpc.advertised == "host-1:7233"
    assert read.config.store.describe() == "/var/lib/perdure/perdure.db"
    assert read.config.search_attributes == {"CustomerId": "Keyword"}
    assert read.where(("settings", "limit.maxIDLength")) == f"{path}:11"


def test_an_empty_file_is_all_defaults(path: Path) -> None:
    path.write_text("# nothing\n", "utf-8")
    assert file.read(path).config.store.describe() == "in-memory"


def test_an_unknown_key_names_line_and_nearest(path: Path) -> None:
    source = "listeners:\n  grpc:\n    prot: 7233\n"
    assert sentence(path, source) == (
        'FILE:3: unknown key "listeners.grpc.prot" (did you mean "port"?)'
    )


def test_an_unknown_key_of_an_optional_section(path: Path) -> None:
    source = "metrics:\n  hots: 127.0.0.1\n"
    assert sentence(path, source) == ('FILE:2: unknown key "metrics.hots" (did you mean "host"?)')


def test_an_unknown_word_names_the_nearest(path: Path) -> None:
    assert sentence(path, "logging:\n  level: warning\n") == (
        "FILE:2: logging.level is \"warning\", not one of 'debug', 'info', 'warn', 'error' or"
        " 'never' (did you mean \"warn\"?)"
    )


def test_an_unknown_role_in_a_list(path: Path) -> None:
    assert sentence(path, "roles:\n- frontend\n- histroy\n").startswith("FILE:3: roles.1 is")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("listeners: {grpc: {port: 70000}}", "less than or equal to 65535"),
        ("listeners: {grpc: {port: '7233'}}", "valid integer"),
        ("store: {kind: sqlite}", "a sqlite store needs a path"),
        ("store: {kind: postgres}", "a postgres store needs a dsn"),
        ("roles: []", "at least 1 item"),
        ("- a\n- b", "must hold keys and values"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_refused(path: Path, source: str, expected: str) -> None:
    assert expected in sentence(path, source)


def test_every_mistake_is_named(path: Path) -> None:
    assert len(sentence(path, "rolls: []\nstor: {}\n").splitlines()) == 2


def test_a_missing_file_is_a_sentence(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        file.read(path)
