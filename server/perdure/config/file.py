"""Reads a configuration file, and says file and line of whatever is wrong in it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from perdure.config import tls
from perdure.config.errors import ConfigError
from perdure.config.keys import fields_of, section_of
from perdure.config.names import suggestion
from perdure.config.static import ServerConfig

Location = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration and the file it was read from."""

    config: ServerConfig
    path: Path
    root: yaml.Node | None

    def where(self, location: Location) -> str:
        """Returns `file:line` of a key such as ("settings", "limit.maxIDLength")."""
        return _where(self.path, self.root, location)


def read(path: Path, environment: Mapping[str, str] | None = None) -> ConfigFile:
    """Reads and checks a YAML file.

    Args:
        path: The file.
        environment: Where the variables are that say what the file may leave out; that of this
            process, if it is None.

    Raises:
        ConfigError: It cannot be read, is not YAML, or holds what the models refuse.
    """
    try:
        source = path.read_text(encoding="utf-8")
        root = yaml.compose(source, Loader=yaml.SafeLoader)
        data = yaml.safe_load(source)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{path} must hold keys and values, such as roles: [frontend]")
    given = _with_variables(data or {}, os.environ if environment is None else environment)
    try:
        return ConfigFile(ServerConfig.model_validate(given), path, root)
    except ValidationError as error:
        sentences = [_sentence(path, root, detail) for detail in error.errors()]
        raise ConfigError("\n".join(sentences)) from error


def _with_variables(data: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the file and, where that has no section `global.tls`, the variables say."""
    section = data.get("global") or {}
    if not isinstance(section, dict) or "tls" in section:
        return data
    try:
        meant = tls.from_environment(environment)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return {**data, "global": {**section, "tls": meant}} if meant else data


def _sentence(path: Path, root: yaml.Node | None, detail: ErrorDetails) -> str:
    location = detail["loc"]
    where = _where(path, root, location)
    name = ".".join(map(str, location))
    match detail["type"]:
        case "extra_forbidden":
            near = suggestion(str(location[-1]), _fields_at(ServerConfig, location[:-1]))
            return f'{where}: unknown key "{name}"{near}'
        case "literal_error":
            near = suggestion(str(detail["input"]), _words(detail["ctx"]["expected"]))
            expected = detail["ctx"]["expected"]
            return f'{where}: {name} is "{detail["input"]}", not one of {expected}{near}'
        case "value_error":
            return f"{where}: {detail['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{where}: {name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _words(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    named = False
    for part in location:
        if isinstance(part, int) or named:
            named = False
            continue
        annotation = fields_of(model)[part].annotation
        section = section_of(annotation)
        assert section is not None, f"{part} is no section"
        model, named = section, get_origin(annotation) is dict
    return list(fields_of(model))


def _where(path: Path, node: yaml.Node | None, location: Location) -> str:
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
    return f"{path}:{line + 1}"
