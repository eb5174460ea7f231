"""Issues holders' certificates: with a key made here, or for a signing request."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from perdure_tls import authority, building, files, keys
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder
from perdure_tls.identity import Identity, check_name, default_name
from perdure_tls.keys import PublicKey
from perdure_tls.state import (
    Certificate,
    Generation,
    KeyType,
    State,
    next_number,
    with_generation,
)

DEFAULT_LIFETIME = timedelta(days=90)
# What is asked of usages is passed over: they follow from the role.
_KNOWN_REQUESTS = (
    x509.SubjectKeyIdentifier,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.BasicConstraints,
)


def issue(
    folder: Folder,
    state: State,
    holders: Iterable[tuple[str, Identity]],
    *,
    lifetime: timedelta = DEFAULT_LIFETIME,
    key_type: KeyType = KeyType.P256,
    request: x509.CertificateSigningRequest | None = None,
) -> tuple[State, list[str]]:
    """Issues the first certificates of holders, all or none; returns the state and their names.

    Each holder comes with the name of its certificate, "" for one made of its identity. A request
    is that of the only holder.

    Raises:
        TlsError: There is one of that name, or the request asks for what it is not given.
    """
    made: dict[str, Certificate] = {}
    for wanted, identity in holders:
        name = check_unused(state, wanted or default_name(identity))
        if name in made:
            raise TlsError(f"Two certificates would have the name {name}.")
        made[name] = _first(
            folder,
            state,
            name,
            identity,
            lifetime=lifetime,
            key_type=key_type,
            request=request,
        )
    return folder.commit(state.with_certificates(made)), list(made)


def check_unused(state: State, name: str) -> str:
    """Returns the name of a new certificate.

    Raises:
        TlsError: It cannot be one, or there is one of that name.
    """
    if check_name(name) in state.certificates:
        raise TlsError(f"There is a certificate {name} already: perdure tls renew --force {name}.")
    return name


def _first(
    folder: Folder,
    state: State,
    name: str,
    identity: Identity,
    *,
    lifetime: timedelta,
    key_type: KeyType,
    request: x509.CertificateSigningRequest | None,
) -> Certificate:
    public = None
    if request is not None:
        public = checked_request(request, identity, state.trust_domain)
    generation = make_generation(
        folder,
        state,
        name,
        1,
        identity=identity,
        issuer=state.issuer,
        lifetime=lifetime,
        key_type=key_type,
        public=public,
    )
    return Certificate(
        identity=identity,
        key_type=key_type,
        own_key=request is None,
        lifetime_seconds=int(lifetime.total_seconds()),
        current=1,
        generations={1: generation},
    )


def reissue(folder: Folder, state: State, names: Iterable[str], issuer: int | None = None) -> State:
    """Returns a state in which holders have newer certificates in use; the caller commits it.

    A key that was made here is made anew; one that came with a request stays.

    Raises:
        TlsError: One is imported, the issuer's key cannot be used, or its certificate ends too
            soon.
    """
    issuer = issuer or state.issuer
    return state.with_certificates({name: _next(folder, state, name, issuer) for name in names})


def _next(folder: Folder, state: State, name: str, issuer: int) -> Certificate:
    certificate = state.certificates[name]
    if certificate.imported:
        raise TlsError(f"{name} is another authority's: get a new one there, and import it.")
    public = None
    if not certificate.own_key:
        held = folder.certificate(folder.generation(name, certificate.current))
        public = keys.checked_public(held.public_key())
    generation = make_generation(
        folder,
        state,
        name,
        next_number(certificate.generations),
        identity=certificate.identity,
        issuer=issuer,
        lifetime=timedelta(seconds=certificate.lifetime_seconds),
        key_type=certificate.key_type,
        public=public,
    )
    return with_generation(certificate, generation)


def make_generation(
    folder: Folder,
    state: State,
    name: str,
    number: int,
    *,
    identity: Identity,
    issuer: int,
    lifetime: timedelta,
    key_type: KeyType,
    public: PublicKey | None,
) -> Generation:
    """Writes a certificate, and its key unless a public key is given; nothing counts yet.

    Raises:
        TlsError: The issuer's key cannot be used, or its certificate ends too soon.
    """
    signer, now = folder.intermediate_issuer(issuer), folder.now()
    authority.check_fits(signer.certificate, now, lifetime, fix="rotate the intermediate first")
    place = folder.generation(name, number)
    if public is None:
        key = keys.generate(key_type)
        folder.write_key(place, key)
        public = key.public_key()
    made = building.leaf(
        public,
        signer,
        identity=identity,
        trust_domain=state.trust_domain,
        now=now,
        lifetime=lifetime,
    )
    folder.disk.write(place / "certificate.pem", building.pem(made, *folder.chain(issuer)))
    return Generation(**dict(authority.recorded(made)), issuer=issuer)


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """Reads a signing request.

    Raises:
        TlsError: It is missing, or none.
    """
    try:
        return x509.load_pem_x509_csr(files.read(path))
    except ValueError as error:
        raise TlsError(f"{path} holds no certificate signing request in PEM.") from error


def checked_request(
    request: x509.CertificateSigningRequest, identity: Identity, trust_domain: str
) -> PublicKey:
    """Returns the key of a request that asks for nothing but what its holder is given.

    Raises:
        TlsError: It is not signed by its own key, or asks for more.
    """
    if not request.is_signature_valid:
        raise TlsError("The request is not signed by its own key.")
    given = {str(name.value) for name in identity.alternative_names(trust_domain)}
    for extension in request.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            more = sorted({str(name.value) for name in value} - given)
            if more:
                raise TlsError(
                    f"The request asks for the name {more[0]}, which the certificate would not"
                    " carry: give it with --dns or --ip, or make the request without it."
                )
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            raise TlsError("The request asks for an authority: only holders are issued here.")
        elif not isinstance(value, _KNOWN_REQUESTS):
            raise TlsError(
                f"The request asks for the extension {extension.oid.dotted_string}, which is not"
                " given: make it without."
            )
    return keys.checked_public(request.public_key())
