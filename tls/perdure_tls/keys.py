"""Private keys: making, reading and writing them (PKCS #8, PEM)."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from perdure_tls import files
from perdure_tls.errors import TlsError
from perdure_tls.state import KeyType

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
LEAST_RSA_BITS = 2048
_CURVES: dict[KeyType, type[ec.EllipticCurve]] = {
    KeyType.P256: ec.SECP256R1,
    KeyType.P384: ec.SECP384R1,
}
_KNOWN_CURVES = tuple(_CURVES.values())
SEALED = b"ENCRYPTED"
"""Stands in the first lines of a PEM file whose key is encrypted, in either of its forms."""


def generate(key_type: KeyType) -> ec.EllipticCurvePrivateKey:
    """Makes a key."""
    return ec.generate_private_key(_CURVES[key_type]())


def to_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Returns a key as it is stored, encrypted when there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def read(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Reads a key.

    Raises:
        TlsError: It is missing, open to others, encrypted with another passphrase, or no key that
            is used here.
    """
    data = files.read_secret(path)
    # A passphrase for a key that has none is an error to the library, not to an operator.
    encrypted = SEALED in data
    if encrypted and not passphrase:
        raise TlsError(
            f"{path} is encrypted: name a file with its passphrase"
            " (--passphrase-file, or --root-passphrase-file for a root)."
        )
    try:
        key = serialization.load_pem_private_key(data, passphrase if encrypted else None)
    except (ValueError, TypeError) as error:
        reason = "the passphrase is wrong" if encrypted else "it is no private key in PEM"
        raise TlsError(f"{path} cannot be used: {reason}.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TlsError(f"{path} has a key of a kind that is not used here: use P-256.")
    return key


def read_passphrase(path: Path | None) -> bytes | None:
    """Returns the passphrase in a file, without the line's end; None when there is no file.

    Raises:
        TlsError: The file is missing, open to others, or empty.
    """
    if path is None:
        return None
    passphrase = files.read_secret(path).rstrip(b"\r\n")
    if not passphrase:
        raise TlsError(f"{path} is empty: it should hold a passphrase.")
    return passphrase


def checked_public(key: PublicKeyTypes) -> PublicKey:
    """Returns a public key that came from elsewhere.

    Raises:
        TlsError: It is of a kind or a size that is not accepted.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _KNOWN_CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    raise TlsError(f"The key is refused: use P-256, P-384 or RSA of {LEAST_RSA_BITS} bits or more.")


def type_of(key: PublicKeyTypes) -> KeyType:
    """Returns the type to make a key of that is to stand in for another."""
    curve = key.curve if isinstance(key, ec.EllipticCurvePublicKey) else None
    return KeyType.P384 if isinstance(curve, ec.SECP384R1) else KeyType.P256


def is_encrypted(path: Path) -> bool:
    """Tells whether a key is there, and opened by a passphrase.

    Raises:
        TlsError: It cannot be read.
    """
    return path.exists() and SEALED in files.read(path)


def same(one: PublicKeyTypes, other: PublicKeyTypes) -> bool:
    """Tells whether two public keys are one."""
    return _spki(one) == _spki(other)


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
