"""Certificates, in the form of Temporal's configuration: its section `global.tls`.

What a file leaves out is no TLS. A file without the section has the variables `TEMPORAL_TLS_*`,
under the names of Temporal's containers; a file with it goes before all of them.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from perdure.config import convert
from perdure.config.authorization import Authorization
from perdure.config.durations import Duration

VARIABLES = "TEMPORAL_TLS_"
"""What the names of environment variables of this section begin with."""


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        alias_generator=to_camel,
    )


class _KeyPair(_Model):
    cert_file: str = ""
    """PEM file of the certificate, the intermediate certificates behind it."""
    key_file: str = ""
    """PEM file of its private key, without a passphrase; others must not be able to read it."""
    cert_data: str = Field(default="", repr=False)
    """The certificate itself instead of its file: PEM, or base64 of it."""
    key_data: str = Field(default="", repr=False)
    """The key itself instead of its file: PEM, or base64 of it."""

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        for name, path, data in (
            ("cert", self.cert_file, self.cert_data),
            ("key", self.key_file, self.key_data),
        ):
            if path and data:
                raise ValueError(f"{name}File and {name}Data both say what is used: leave out one")
        if bool(self.cert_file or self.cert_data) != bool(self.key_file or self.key_data):
            raise ValueError("a certificate and its key go together: give certFile and keyFile")
        return self

    @property
    def given(self) -> bool:
        """Whether there is a certificate."""
        return bool(self.cert_file or self.cert_data)


class ServerTls(_KeyPair):
    """What a port shows to its clients, and what it wants of them."""

    client_ca_files: list[str] = []
    """PEM files of the authorities whose clients are let in, where `requireClientAuth` is true."""
    client_ca_data: list[str] = Field(default=[], repr=False)
    """Such authorities themselves: PEM, or base64 of it."""
    require_client_auth: bool = False
    """Whether clients must show a certificate of one of these authorities."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.require_client_auth and not (self.client_ca_files or self.client_ca_data):
            raise ValueError(
                "requireClientAuth needs the authorities whose clients are let in: give"
                " clientCaFiles"
            )
        if not self.given and (self.require_client_auth or self.client_ca_files):
            raise ValueError("a port has TLS only with a certificate: give certFile and keyFile")
        return self


class ClientTls(_Model):
    """How connections to a port are made."""

    server_name: str = ""
    """The DNS name that the port's certificate must have; else the host that is called."""
    disable_host_verification: bool = False
    """Refused where it is true: `serverName` says which certificate is expected."""
    root_ca_files: list[str] = []
    """PEM files of the authorities that the port's certificate may come from."""
    root_ca_data: list[str] = Field(default=[], repr=False)
    """Such authorities themselves: PEM, or base64 of it."""
    force_tls: bool = Field(default=False, alias="forceTLS")
    """Accepted, without effect: a connection has TLS exactly where the port has."""

    @model_validator(mode="after")
    def _verified(self) -> Self:
        if self.disable_host_verification:
            raise ValueError(
                "disableHostVerification is not supported, since anybody could be the server: give"
                " serverName, a DNS name of its certificate, instead"
            )
        return self

    @property
    def trusts(self) -> bool:
        """Whether authorities are named."""
        return bool(self.root_ca_files or self.root_ca_data)


class GroupTls(_Model):
    """TLS of a port: both ends."""

    server: ServerTls = ServerTls()
    """What the port shows to its clients, and what it wants of them."""
    client: ClientTls = ClientTls()
    """How connections to the port are made."""
    host_overrides: dict[str, ServerTls] = {}
    """Other certificates by the name that clients ask for (SNI)."""

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        for host, override in self.host_overrides.items():
            if not override.given:
                raise ValueError(f"hostOverrides.{host} needs a certFile and a keyFile")
            if not self.server.given:
                raise ValueError(
                    "hostOverrides are exceptions from server: give it a certFile and a keyFile"
                )
            policies = [
                (each.require_client_auth, each.client_ca_files, each.client_ca_data)
                for each in (override, self.server)
            ]
            if policies[0] != policies[1]:
                raise ValueError(
                    f"hostOverrides.{host} wants other clients than server does, which one port"
                    " cannot: give both the same requireClientAuth and clientCaFiles, or run a"
                    " second frontend, which listens on a port of its own, with this policy"
                )
        return self


class WorkerTls(_KeyPair):
    """Accepted, without effect on connections: the system worker calls other nodes as a node.

    Its files are checked and watched as all others are.
    """

    client: ClientTls = ClientTls()
    """Accepted, without effect."""


NO_CLIENT: Final = WorkerTls()
"""Nothing is shown, nobody is trusted."""


class ExpirationChecks(_Model):
    """When a certificate that will expire is said in the log and in metrics."""

    warning_window: Duration = "7d"
    """How long before it expires it is a warning."""
    error_window: Duration = "1d"
    """How long before it expires it is an error."""
    check_interval: Duration = "1h"
    """How often the log says it."""


class Tls(_Model):
    """Certificates, as Temporal configures them; they are read again while the server runs."""

    internode: GroupTls = GroupTls()
    """Between the nodes of a cluster: each shows the server's certificate as a client too."""
    frontend: GroupTls = GroupTls()
    """The port for clients and workers."""
    system_worker: WorkerTls = WorkerTls()
    """Accepted, without effect on connections: the system worker calls other nodes as a node."""
    refresh_interval: Duration = "1m"
    """How often files are read though they look unchanged; changes are seen within a second."""
    expiration_checks: ExpirationChecks = ExpirationChecks()
    """When a certificate that will expire is said in the log and in metrics."""
    deny_file: str = ""
    """The `denied.json` of `perdure tls revoke`: whose calls are refused."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.internode.server.given and not self.internode.client.trusts:
            raise ValueError(
                "nodes must know whom to trust: give internode.client.rootCaFiles, the authority"
                " of the nodes' certificates"
            )
        if self.deny_file and not any(
            group.server.require_client_auth for group in (self.internode, self.frontend)
        ):
            raise ValueError(
                "denyFile has no effect where no client shows a certificate: set"
                " requireClientAuth of frontend.server or internode.server"
            )
        return self


class Global(_Model):
    """What Temporal's configuration has under this name."""

    tls: Tls = Tls()
    """Certificates."""
    authorization: Authorization = Authorization()
    """Who may call what."""

    @model_validator(mode="after")
    def _certificates_are_shown(self) -> Self:
        authorization = self.authorization
        by_certificate = authorization.authorizer and not authorization.jwt_key_provider.sources
        if by_certificate and not self.tls.frontend.server.require_client_auth:
            raise ValueError(
                "global.authorization lets nobody in: without jwtKeyProvider.keySourceURIs clients"
                " need certificates, which global.tls.frontend.server.requireClientAuth asks for"
            )
        return self


_NAMES: Mapping[str, tuple[str, ...]] = {
    "REFRESH_INTERVAL": ("refreshInterval",),
    "EXPIRATION_CHECKS_WARNING_WINDOW": ("expirationChecks.warningWindow",),
    "EXPIRATION_CHECKS_ERROR_WINDOW": ("expirationChecks.errorWindow",),
    "EXPIRATION_CHECKS_CHECK_INTERVAL": ("expirationChecks.checkInterval",),
    "DENY_FILE": ("denyFile",),
    "REQUIRE_CLIENT_AUTH": (
        "internode.server.requireClientAuth",
        "frontend.server.requireClientAuth",
    ),
    "SERVER_CERT": ("internode.server.certFile",),
    "SERVER_KEY": ("internode.server.keyFile",),
    "SERVER_CERT_DATA": ("internode.server.certData",),
    "SERVER_KEY_DATA": ("internode.server.keyData",),
    "SERVER_CA_CERT": (
        *("internode.server.clientCaFiles", "internode.client.rootCaFiles"),
        "frontend.client.rootCaFiles",
    ),
    "SERVER_CA_CERT_DATA": (
        *("internode.server.clientCaData", "internode.client.rootCaData"),
        "frontend.client.rootCaData",
    ),
    "INTERNODE_SERVER_NAME": ("internode.client.serverName",),
    "INTERNODE_DISABLE_HOST_VERIFICATION": ("internode.client.disableHostVerification",),
    "FRONTEND_CERT": ("frontend.server.certFile",),
    "FRONTEND_KEY": ("frontend.server.keyFile",),
    "FRONTEND_CERT_DATA": ("frontend.server.certData",),
    "FRONTEND_KEY_DATA": ("frontend.server.keyData",),
    "CLIENT1_CA_CERT": ("frontend.server.clientCaFiles",),
    "CLIENT2_CA_CERT": ("frontend.server.clientCaFiles",),
    "CLIENT1_CA_CERT_DATA": ("frontend.server.clientCaData",),
    "CLIENT2_CA_CERT_DATA": ("frontend.server.clientCaData",),
    "FRONTEND_SERVER_NAME": ("frontend.client.serverName",),
    "FRONTEND_DISABLE_HOST_VERIFICATION": ("frontend.client.disableHostVerification",),
}


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the section `global.tls` that the variables `TEMPORAL_TLS_*` mean.

    Raises:
        ValueError: One has a value that it cannot have; the message is a sentence.
    """
    section: dict[str, Any] = {}
    for name, paths in _NAMES.items():
        if text := environment.get(f"{VARIABLES}{name}", ""):
            for path in paths:
                _put(section, path.split("."), f"{VARIABLES}{name}", text)
    return section


def _put(section: dict[str, Any], path: list[str], variable: str, text: str) -> None:
    *outer, last = path
    for part in outer:
        section = section.setdefault(part, {})
    if last.endswith(("CaFiles", "CaData")):
        section.setdefault(last, []).append(text)
    elif last in {"requireClientAuth", "disableHostVerification"}:
        try:
            section[last] = convert.boolean(text)
        except ValueError as error:
            raise ValueError(f"the variable {variable} {error}") from None
    else:
        section[last] = text
