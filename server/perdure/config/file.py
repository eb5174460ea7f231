"""Reads a configuration file, and says file and line of whatever is wrong in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from perdure.config.errors import ConfigError
from perdure.config.keys import section_of
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


def read(path: Path) -> ConfigFile:
    """Reads and checks a YAML file.

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
    try:
        return ConfigFile(ServerConfig.model_validate(data or {}), path, root)
    except ValidationError as error:
        sentences = [_sentence(path, root, detail) for detail in error.errors()]
        raise ConfigError("\n".join(sentences)) from error


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
    for part in filter(_is_name, location):
        section = section_of(model.model_fields[str(part)].annotation)
        assert section is not None, f"{part} is no section"
        model = section
    return list(model.model_fields)


def _is_name(part: str | int) -> bool:
    return isinstance(part, str)


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
