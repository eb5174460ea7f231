"""Makes `Material` from what a configuration names, or says all that is wrong with it."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from perdure.config.tls import ClientTls, GroupTls, ServerTls, Tls, WorkerTls
from perdure.rpc.tls import certificates, denied, files
from perdure.rpc.tls.certificates import CLIENT_AUTH, SERVER_AUTH
from perdure.rpc.tls.denied import NOBODY, Denied
from perdure.rpc.tls.files import BrokenFileError, BrokenFilesError
from perdure.rpc.tls.material import (
    CertificateFacts,
    ClientMaterial,
    Material,
    Pair,
    ServerMaterial,
)

_PEM = b"-----BEGIN "


def paths(tls: Tls, metrics: ServerTls) -> list[str]:
    """Returns every file that a configuration names."""
    servers = (
        *(tls.internode.server, tls.frontend.server, metrics),
        *tls.internode.host_overrides.values(),
        *tls.frontend.host_overrides.values(),
    )
    clients = (tls.internode.client, tls.frontend.client, tls.system_worker.client)
    named = [
        *(
            path
            for each in (*servers, tls.system_worker)
            for path in (each.cert_file, each.key_file)
        ),
        *(path for server in servers for path in server.client_ca_files),
        *(path for client in clients for path in client.root_ca_files),
        tls.deny_file,
    ]
    return sorted({path for path in named if path})


def load(tls: Tls, metrics: ServerTls, *, now: datetime) -> Material:
    """Reads and checks every file.

    Raises:
        BrokenFilesError: Some cannot be used; all of them are named.
    """
    loader = _Loader(now)
    internode = loader.server("internode", tls.internode, (SERVER_AUTH, CLIENT_AUTH))
    peers = loader.peers(tls.internode, internode)
    frontend = loader.server("frontend", tls.frontend, (SERVER_AUTH,))
    loader.authorities("frontend", tls.frontend.client, "global.tls.frontend.client")
    loader.system_worker(tls.system_worker)
    scraped = loader.server("metrics", GroupTls(server=metrics), (SERVER_AUTH,))
    refused = loader.denied(tls.deny_file)
    if loader.problems:
        # A file that several ports have is said once.
        raise BrokenFilesError(tuple({str(each): each for each in loader.problems}.values()))
    return Material(
        frontend=frontend,
        internode=internode,
        metrics=scraped,
        peers=peers,
        denied=refused,
        certificates=tuple(dict.fromkeys(loader.facts)),
    )


class _Loader:
    """Collects what is wrong while it reads.

    Attributes:
        problems: What is wrong, in the order of the configuration.
        facts: Every certificate read.
    """

    def __init__(self, now: datetime) -> None:
        self.problems: list[BrokenFileError] = []
        self.facts: list[CertificateFacts] = []
        self._now = now

    def server(
        self, scope: str, group: GroupTls, usages: Sequence[x509.ObjectIdentifier]
    ) -> ServerMaterial | None:
        """Returns what a port needs; None where it has no TLS, or a broken file."""
        server = group.server
        if not server.given:
            return None
        key = "metrics.tls" if scope == "metrics" else f"global.tls.{scope}.server"
        usual = self._pair(scope, server, key, usages)
        others = [
            self._override(scope, host, override, usages, usual)
            for host, override in group.host_overrides.items()
        ]
        authorities = b""
        if server.require_client_auth:
            paths, data = server.client_ca_files, server.client_ca_data
            authorities, _ = self._bundle(scope, paths, data, f"{key}.clientCaData")
        if usual is None or None in others:
            return None
        pairs = (usual[0], *(other[0] for other in others if other is not None))
        return ServerMaterial(pairs, authorities)

    def peers(self, group: GroupTls, server: ServerMaterial | None) -> ClientMaterial | None:
        """Returns what connections to other nodes need."""
        if not group.server.given:
            return None
        trust, roots = self.authorities("internode", group.client, "global.tls.internode.client")
        if server is None or not roots:
            return None
        source = group.server.cert_file or "global.tls.internode.server.certData"
        chain = x509.load_pem_x509_certificates(server.pairs[0].chain)
        with _Collected(self.problems):
            certificates.check_trusted(chain, source, roots)
            name = group.client.server_name
            if name and not certificates.answers_to(chain[0], name):
                raise BrokenFileError(
                    source,
                    f"does not have the name {name} of internode.client.serverName: issue one that"
                    " has, or correct the name",
                )
        return ClientMaterial(trust, server.pairs[0], group.client.server_name)

    def authorities(
        self, scope: str, client: ClientTls, key: str
    ) -> tuple[bytes, list[x509.Certificate]]:
        """Returns the authorities that connections to a port trust: PEM, and read."""
        return self._bundle(scope, client.root_ca_files, client.root_ca_data, f"{key}.rootCaData")

    def system_worker(self, worker: WorkerTls) -> None:
        """Checks what has no effect on connections."""
        if worker.given:
            self._pair("system_worker", worker, "global.tls.systemWorker", (CLIENT_AUTH,))
        self.authorities("system_worker", worker.client, "global.tls.systemWorker.client")

    def denied(self, path: str) -> Denied:
        """Returns the deny list; an empty one where none is named."""
        if not path:
            return NOBODY
        with _Collected(self.problems):
            data = files.read(path)
            try:
                return denied.parse(data)
            except ValueError as error:
                raise BrokenFileError(path, f"{error}: write it by perdure tls revoke") from None
        return NOBODY

    def _pair(
        self,
        scope: str,
        given: ServerTls | WorkerTls,
        key: str,
        usages: Sequence[x509.ObjectIdentifier],
    ) -> tuple[Pair, x509.Certificate] | None:
        role = "client" if isinstance(given, WorkerTls) else "server"
        source = given.cert_file or f"{key}.certData"
        key_source = given.key_file or f"{key}.keyData"
        with _Collected(self.problems):
            data = _data(given.cert_file, given.cert_data, source)
            chain = certificates.read_certificates(data, source)
            certificates.check_chain(chain, source)
            certificates.check_leaf(chain[0], source, now=self._now, usages=usages)
            secret = _data(given.key_file, given.key_data, key_source, secret=True)
            certificates.check_key(secret, key_source, chain[0], source)
            self.facts.extend(_facts(scope, role, chain, source))
            return Pair(data, secret), chain[0]
        return None

    def _override(
        self,
        scope: str,
        host: str,
        override: ServerTls,
        usages: Sequence[x509.ObjectIdentifier],
        usual: tuple[Pair, x509.Certificate] | None,
    ) -> tuple[Pair, x509.Certificate] | None:
        key = f"global.tls.{scope}.hostOverrides.{host}"
        pair = self._pair(scope, override, key, usages)
        if pair is None or usual is None:
            return None
        with _Collected(self.problems):
            if not certificates.answers_to(pair[1], host):
                raise BrokenFileError(
                    override.cert_file or f"{key}.certData",
                    f"does not have the DNS name {host}, by which it would be chosen: issue one"
                    " that has",
                )
            if certificates.answers_to(usual[1], host):
                raise BrokenFileError(
                    override.cert_file or f"{key}.certData",
                    f"would never be shown, since the usual certificate has the name {host} too:"
                    " issue that without the name, or leave out the override",
                )
            return pair
        return None

    def _bundle(
        self, scope: str, paths: Sequence[str], texts: Sequence[str], key: str
    ) -> tuple[bytes, list[x509.Certificate]]:
        given = [*((path, "", path) for path in paths), *(("", text, key) for text in texts)]
        read: list[bytes] = []
        found: list[x509.Certificate] = []
        for path, text, source in given:
            with _Collected(self.problems):
                data = _data(path, text, source)
                bundle = certificates.read_certificates(data, source)
                read.append(data)
                found.extend(bundle)
                self.facts.extend(_facts(scope, "trust", bundle, source))
        return b"\n".join(read), found


class _Collected:
    """Keeps a problem of the enclosed work instead of raising it."""

    def __init__(self, problems: list[BrokenFileError]) -> None:
        self._problems = problems

    def __enter__(self) -> None:
        """Begins."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Takes a problem, and nothing else."""
        if isinstance(error, BrokenFileError):
            self._problems.append(error)
            return True
        return False


def _data(path: str, text: str, source: str, *, secret: bool = False) -> bytes:
    if path:
        return files.read(path, secret=secret)
    data = text.strip().encode()
    if data.startswith(_PEM):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise BrokenFileError(source, "is neither PEM nor base64 of it: replace it") from None


def _facts(
    scope: str, role: str, bundle: Sequence[x509.Certificate], source: str
) -> Iterator[CertificateFacts]:
    for certificate in bundle:
        yield CertificateFacts(
            scope=scope,
            role=role,
            subject=certificates.name_of(certificate),
            serial=f"{certificate.serial_number:x}",
            ca=certificates.is_authority(certificate),
            expires=int(certificate.not_valid_after_utc.timestamp()),
            source=source,
        )
