"""Which SDKs and tools this server takes, and whether they take this server.

Clients say in headers what they are and which servers they work with. They are asked only when
they ask what the server can do, which every SDK does first.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from temporalio.api.errordetails.v1 import message_pb2 as details

from perdure.core.errors import FailedPreconditionError, InvalidArgumentError

SERVER_VERSION: Final = "1.32.0"
"""What clients are told: the release of Temporal whose behaviour this server has.

SDKs and the Web UI switch features on by it; the distribution's own version would switch them off.
"""

SUPPORTED_CLIENTS: Final[Mapping[str, str]] = {
    "Nexus-go-sdk": "<2.0.0",
    "temporal-cli": "<2.0.0",
    "temporal-go": "<2.0.0",
    "temporal-java": "<2.0.0",
    "temporal-php": "<2.0.0",
    "temporal-server": "<2.0.0",
    "temporal-typescript": "<2.0.0",
    "temporal-ui": "<3.0.0",
}
"""Version ranges by the name that a client gives itself; others are taken at any version."""

_Version = tuple[int, int, int]
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?", re.ASCII)
_CONDITION = re.compile(r"\s*(<=|>=|!=|==|=|<|>|!)?\s*(\S+)", re.ASCII)
_OPERATORS: Final[Mapping[str, Callable[[_Version, _Version], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "": operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!": operator.ne,
    "!=": operator.ne,
}


def check_client(metadata: Mapping[str, str | bytes]) -> None:
    """Checks a call's headers.

    Raises:
        FailedPreconditionError: Client and server do not go together.
        InvalidArgumentError: A version cannot be read.
    """
    name, version = _text(metadata, "client-name"), _text(metadata, "client-version")
    wanted = _text(metadata, "supported-server-versions")
    if name and version and (supported := SUPPORTED_CLIENTS.get(name)):
        _check_client_version(name, version, supported)
    if wanted:
        _check_server_version(wanted)


def _check_client_version(name: str, version: str, supported: str) -> None:
    parsed = _parse(version)
    if parsed is None:
        raise InvalidArgumentError(
            "Unable to parse client version: No Major.Minor.Patch elements found"
        )
    if not _is_in_range(parsed, supported):
        raise FailedPreconditionError(
            f"Client version {version} is not supported. Server supports {name} versions:"
            f" {supported}",
            details.ClientVersionNotSupportedFailure(
                client_version=version, client_name=name, supported_versions=supported
            ),
        )


def _check_server_version(wanted: str) -> None:
    own = _parse(SERVER_VERSION)
    assert own is not None, "the server's version is one"
    if not _is_in_range(own, wanted):
        raise FailedPreconditionError(
            f"Server version {SERVER_VERSION} is not supported. Client supports server versions:"
            f" {wanted}",
            details.ServerVersionNotSupportedFailure(
                server_version=SERVER_VERSION, client_supported_server_versions=wanted
            ),
        )


def _is_in_range(version: _Version, wanted: str) -> bool:
    """Tells whether a version is in a range such as `>=1.0.0 <2.0.0 || 3.0.0`."""
    return any(
        all(_holds(version, *match.groups()) for match in _CONDITION.finditer(alternative))
        for alternative in wanted.split("||")
    )


def _holds(version: _Version, comparison: str | None, text: str) -> bool:
    bound = _parse(text)
    if bound is None:
        raise InvalidArgumentError(
            "Unable to parse supported server versions: Could not get version from string:"
            f' "{text}"'
        )
    return _OPERATORS[comparison or ""](version, bound)


def _parse(text: str) -> _Version | None:
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _text(metadata: Mapping[str, str | bytes], key: str) -> str:
    value = metadata.get(key, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else value
