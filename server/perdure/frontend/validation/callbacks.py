"""Callbacks on completion, and what a start attaches to a run that is open already.

A callback may go to addresses that the operator has allowed, and to the cluster itself.
"""

from collections.abc import Sequence
from typing import Final

from temporalio.api.common.v1.message_pb2 import Callback
from temporalio.api.workflow.v1.message_pb2 import OnConflictOptions

from perdure.core.errors import InvalidArgumentError, UnimplementedError
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.urls import parse_url

_OF_THE_CLUSTER: Final = frozenset({"temporal://system", "temporal://internal"})
_VARIANTS: Final = {"internal": "*common.Callback_Internal_"}


def check_conflict_options(options: OnConflictOptions) -> None:
    """Checks what a start asks to be attached."""
    if options.attach_completion_callbacks and not options.attach_request_id:
        raise InvalidArgumentError(
            "attaching request ID is required for attaching completion callbacks"
        )


def settle_callbacks(callbacks: Sequence[Callback], settings: FrontendSettings) -> None:
    """Checks callbacks, and writes the names of their headers in lower case."""
    most = settings.max_callbacks
    if len(callbacks) > most:
        raise InvalidArgumentError(f"cannot attach more than {most} callbacks to an execution")
    for callback in callbacks:
        variant = callback.WhichOneof("variant")
        if variant is None:
            raise UnimplementedError("unknown callback variant: <nil>")
        if variant != "nexus":
            raise InvalidArgumentError(f"unsupported callback variant: {_VARIANTS[variant]}")
        _check_url(callback.nexus.url, settings)
        _settle_header(callback.nexus, settings)


def _check_url(url: str, settings: FrontendSettings) -> None:
    most = settings.max_callback_url_bytes
    if len(url.encode()) > most:
        raise InvalidArgumentError(
            f"invalid url: url length longer than max length allowed of {most}"
        )
    if url in _OF_THE_CLUSTER:
        return
    scheme, host = parse_url(url)
    url = scheme + url[len(scheme) :]
    if scheme not in {"http", "https"}:
        raise InvalidArgumentError(f"invalid url: unknown scheme: {url}")
    if not host:
        raise InvalidArgumentError("invalid url: missing host")
    rule = next((rule for rule in settings.callback_addresses if rule.matches(host)), None)
    if rule is None:
        raise InvalidArgumentError(
            f"invalid url: url does not match any configured callback address: {url}"
        )
    if scheme == "http" and not rule.insecure:
        raise InvalidArgumentError(
            f"invalid url: callback address does not allow insecure connections: {url}"
        )


def _settle_header(nexus: Callback.Nexus, settings: FrontendSettings) -> None:
    most = settings.max_callback_header_bytes
    header = {name.lower(): value for name, value in nexus.header.items()}
    if sum(len(name.encode()) + len(value.encode()) for name, value in header.items()) > most:
        raise InvalidArgumentError(
            f"invalid header: header size longer than max allowed size of {most}"
        )
    nexus.header.clear()
    nexus.header.update(header)
