"""Files of settings in the form of Temporal's dynamic configuration."""

import re
import textwrap
from pathlib import Path

import pytest

from perdure.app.settings import QUOTAS
from perdure.config import dynamic
from perdure.config.errors import ConfigError
from perdure.config.settings import Values, resolve

ROOT = Path(__file__).parents[3]


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.yml"
    path.write_text(text)
    return path


def test_values_for_all_namespaces_and_for_one(tmp_path: Path) -> None:
    beneath, _ = resolve({"frontend.rps": 7, "frontend.namespaceCount": 3})
    path = written(
        tmp_path,
        """
frontend.RPS: 2400
frontend.namespaceRPS:
  - value: 500
  - value: 50
    constraints:
      namespace: batch
""",
    )
    values = dynamic.read(path, beneath=beneath)
    found = [QUOTAS.build(values, name) for name in ("", "batch", "other")]
    assert [each.rps for each in found] == [2400.0] * 3
    assert [each.namespace_rps for each in found] == [500.0, 50.0, 500.0]
    assert [each.polls for each in found] == [3] * 3


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    beneath, _ = resolve({"frontend.rps": 7})
    assert dynamic.read(written(tmp_path, "# nothing yet\n"), beneath=beneath) == beneath


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frontend.rsp: 1", r'setting "frontend.rsp" has no effect here \(did you mean "front'),
        ("frontend.rps: fast", r'setting "frontend.rps" wants a number, not "fast"'),
        ("frontend.rps: -1", r"wants a number of at least 0, not -1"),
        (
            "limit.maxIDLength: [{value: 5, constraints: {namespace: n}}]",
            "is the same for all namespaces: leave its constraints out",
        ),
        ("frontend.rps: [{valeu: 1}]", r"frontend.rps.value: field required; an entry has a value"),
        (
            "frontend.rps: [{value: 1, constraints: {taskQueueName: q}}]",
            r"frontend.rps.constraints.taskQueueName: extra inputs are not permitted",
        ),
        ("- frontend.rps", "must hold settings and their values, such as"),
        ("frontend.rps: [", "is not YAML"),
    ],
)
def test_mistakes_are_said_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        dynamic.read(written(tmp_path, text), beneath=Values())
    assert "\n" not in str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*settings.yml: No such file"):
        dynamic.read(tmp_path / "settings.yml", beneath=Values())


def test_the_documented_file_is_sound(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    (example,) = re.findall(r"(?:^    frontend\.rps.*\n)(?:^    .*\n)+", page, re.MULTILINE)
    values = dynamic.read(written(tmp_path, textwrap.dedent(example)), beneath=Values())
    assert QUOTAS.build(values, "batch-jobs").namespace_rps == 50.0
