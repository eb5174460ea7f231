"""Reads a file of settings in the form of Temporal's dynamic configuration.

    frontend.rps:
      - value: 2400
    frontend.namespaceRPS:
      - value: 500
      - value: 50
        constraints:
          namespace: batch-jobs

A bare value does for a list of one, without constraints.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from perdure.config.errors import ConfigError
from perdure.config.settings import Given, Values, resolve_all


class _Constraints(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    namespace: str = ""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    value: JsonValue
    constraints: _Constraints = _Constraints()


def read(path: Path, *, beneath: Values) -> Values:
    """Reads a file of settings.

    Args:
        path: The file.
        beneath: What holds where the file says nothing.

    Raises:
        ConfigError: It cannot be read, or has something in it that has no effect; the message has a
            line for each mistake.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{path} must hold settings and their values, such as frontend.rps: 2400")
    values, problems = resolve_all(_given(path, data or {}))
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem.sentence}" for problem in problems))
    return Values({**beneath.given, **values.given}, values.of_namespaces)


def _given(path: Path, data: dict[object, object]) -> Iterator[Given]:
    for key, found in data.items():
        for entry in found if isinstance(found, list) else [{"value": found}]:
            yield _entry(path, str(key), entry)


def _entry(path: Path, key: str, entry: object) -> Given:
    try:
        parsed = _Value.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (key, *first["loc"])))
        raise ConfigError(
            f"{path}: {where}: {first['msg'].lower()}; an entry has a value, and may have"
            " constraints with a namespace"
        ) from error
    return Given(key, parsed.value, parsed.constraints.namespace)
