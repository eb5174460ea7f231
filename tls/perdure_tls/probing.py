"""A client for an hour: shows whether peers accept an intermediate that nobody else uses yet."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from perdure_tls import building, handshakes, keys
from perdure_tls.files import KEY_MODE, Disk
from perdure_tls.findings import Finding, problems
from perdure_tls.folder import Folder
from perdure_tls.handshakes import ClientFiles, Peer
from perdure_tls.identity import Identity, Role
from perdure_tls.rotation import Verify
from perdure_tls.state import KeyType, State

_LIFETIME = timedelta(hours=1)


@contextmanager
def probe(folder: Folder, state: State, issuer: int) -> Iterator[ClientFiles]:
    """Gives a client's certificate, which is gone afterwards and recorded nowhere.

    Raises:
        TlsError: The intermediate's key cannot be used.
    """
    signer, key = folder.intermediate_issuer(issuer), keys.generate(KeyType.P256)
    certificate = building.leaf(
        key.public_key(),
        signer,
        identity=Identity.of(Role.CLIENT, "perdure-tls-probe"),
        trust_domain=state.trust_domain,
        now=folder.now(),
        lifetime=_LIFETIME,
    )
    with tempfile.TemporaryDirectory(prefix="perdure-tls-") as name:
        disk, place = Disk(), Path(name)
        disk.write(place / "key.pem", keys.to_pem(key), KEY_MODE)
        disk.write(place / "certificate.pem", building.pem(certificate, *folder.chain(issuer)))
        yield ClientFiles(place / "certificate.pem", place / "key.pem")


def check_peers(
    folder: Folder,
    state: State,
    peers: tuple[Peer, ...],
    *,
    issuer: int,
    serials: frozenset[str] = frozenset(),
    anonymous: bool = True,
) -> list[Finding]:
    """Checks peers with such a client.

    Raises:
        TlsError: The intermediate's key cannot be used.
    """
    with probe(folder, state, issuer) as client:
        return [
            finding
            for peer in peers
            for finding in handshakes.check_peer(
                peer, folder.trust_path, client, serials=serials, anonymous=anonymous
            )
        ]


def unready(folder: Folder, state: State, peers: tuple[Peer, ...], wanted: Verify) -> list[str]:
    """Returns what keeps a rotation from going on.

    Raises:
        TlsError: The intermediate's key cannot be used.
    """
    found = check_peers(
        folder,
        state,
        peers,
        issuer=wanted.client_issuer,
        serials=wanted.serials,
        anonymous=False,
    )
    return problems(found)
