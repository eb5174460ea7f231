"""Makes authorities: the first root and intermediate, and those of rotations."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from perdure_tls import building, files, keys
from perdure_tls.building import Issuer
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder
from perdure_tls.identity import check_trust_domain
from perdure_tls.state import Intermediate, Issued, KeyType, Root, State

ROOT_LIFETIME = timedelta(days=3650)
INTERMEDIATE_LIFETIME = timedelta(days=730)
CRL_LIFETIME = timedelta(days=30)
"""Of an intermediate's list, which `renew` makes anew. A root's, whose key is away, lasts as long
as the root's intermediates may."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long authorities are valid."""

    root: timedelta = ROOT_LIFETIME
    intermediate: timedelta = INTERMEDIATE_LIFETIME


def init(
    folder: Folder,
    *,
    trust_domain: str,
    lifetimes: Lifetimes | None = None,
    key_type: KeyType = KeyType.P256,
) -> State:
    """Makes an authority in a folder of its own.

    Raises:
        TlsError: There is one already, or something else.
    """
    check_trust_domain(trust_domain)
    lifetimes = lifetimes or Lifetimes()
    folder.disk.make_folder(folder.path)
    with files.locked(folder.path):
        folder.check_unused()
        root = make_root(
            folder, 1, trust_domain=trust_domain, lifetime=lifetimes.root, key_type=key_type
        )
        intermediate = make_intermediate(
            folder,
            1,
            1,
            issuer=folder.root_issuer(1),
            trust_domain=trust_domain,
            lifetime=lifetimes.intermediate,
            key_type=key_type,
        )
        state = State(
            trust_domain=trust_domain,
            roots={1: root},
            intermediates={1: intermediate},
            trust=(1,),
            issuer=1,
        )
        return folder.commit(state)


def make_root(
    folder: Folder, number: int, *, trust_domain: str, lifetime: timedelta, key_type: KeyType
) -> Root:
    """Writes a root and its empty revocation list; nothing counts until the state says so."""
    key, now = keys.generate(key_type), folder.now()
    certificate = building.root(
        key, trust_domain=trust_domain, number=number, now=now, lifetime=lifetime
    )
    place = folder.root(number)
    folder.write_key(place, key, folder.secrets.root_passphrase)
    folder.disk.write(place / "certificate.pem", building.pem(certificate))
    issued = recorded(certificate)
    write_first_list(folder, place, Issuer(certificate, key), next_update=issued.not_after)
    return Root(**dict(issued), crl=1)


def make_intermediate(
    folder: Folder,
    number: int,
    root: int,
    *,
    issuer: Issuer,
    trust_domain: str,
    lifetime: timedelta,
    key_type: KeyType,
) -> Intermediate:
    """Writes an intermediate and its empty revocation list, as for a root.

    Raises:
        TlsError: It would outlive its root.
    """
    key, now = keys.generate(key_type), folder.now()
    check_fits(issuer.certificate, now, lifetime, fix="rotate the root first")
    certificate = building.intermediate(
        key.public_key(),
        issuer,
        trust_domain=trust_domain,
        number=number,
        now=now,
        lifetime=lifetime,
    )
    place = folder.intermediate(number)
    folder.write_key(place, key, folder.secrets.passphrase)
    folder.disk.write(place / "certificate.pem", building.pem(certificate))
    write_first_list(folder, place, Issuer(certificate, key), next_update=now + CRL_LIFETIME)
    return Intermediate(**dict(recorded(certificate)), root=root, crl=1)


def write_first_list(folder: Folder, place: Path, issuer: Issuer, *, next_update: datetime) -> None:
    """Writes an issuer's first revocation list, which is empty."""
    now = folder.now()
    crl = building.revocation_list(issuer, (), number=1, now=now, next_update=next_update)
    folder.disk.write(place / "crl-1.pem", crl.public_bytes(Encoding.PEM))


def recorded(certificate: x509.Certificate) -> Issued:
    """Returns what the state keeps of a certificate."""
    return Issued(
        serial=building.serial_text(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=building.fingerprint(certificate),
    )


def check_fits(issuer: x509.Certificate, now: datetime, lifetime: timedelta, *, fix: str) -> None:
    """Checks that a certificate that is made now ends before its issuer does.

    Raises:
        TlsError: It would not, and nobody would accept it in the end.
    """
    if now + lifetime > issuer.not_valid_after_utc:
        raise TlsError(
            f"The issuer's certificate ends at {issuer.not_valid_after_utc:%Y-%m-%d %H:%M} UTC,"
            f" before the new one would: choose a shorter lifetime, or {fix}."
        )
