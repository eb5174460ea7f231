"""Reads JSON Web Key Sets (RFC 7517): public keys for RS256 and ES256, by their ids."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from perdure.access.sources import SourceError

PublicKey = RSAPublicKey | EllipticCurvePublicKey
Keys = Mapping[tuple[str, str], PublicKey]
"""Keys by algorithm and id: a key never verifies a token of another algorithm."""

ALGORITHMS: Final = ("RS256", "ES256")
_ALGORITHM_BY_TYPE: Final = {"RSA": "RS256", "EC": "ES256"}
_FEWEST_RSA_BITS: Final = 2048  # RFC 7518, 3.3
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class KeySet(NamedTuple):
    """What a document holds.

    Attributes:
        keys: Those that tokens may be verified with.
        left_out: Ids of the others: without an id of their own, broken, too short, or for another
            algorithm or use.
    """

    keys: Keys
    left_out: frozenset[str]


EMPTY: Final = KeySet({}, frozenset())


def parse(document: bytes) -> KeySet:
    """Reads a key set.

    A key that cannot be used costs the others nothing, since it may be for somebody else.

    Raises:
        SourceError: It is no key set.
    """
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SourceError('not a JSON object with "keys", as a key set is') from None
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise SourceError('"keys" is no list of objects')
    keys: dict[tuple[str, str], PublicKey] = {}
    left_out = set()
    for entry in entries:
        name = str(entry.get("kid", ""))
        algorithm = _ALGORITHM_BY_TYPE.get(str(entry.get("kty")))
        key = _public(entry, algorithm) if name and algorithm else None
        if key is None or algorithm is None:
            left_out.add(name)
        else:
            keys[algorithm, name] = key
    return KeySet(keys, frozenset(left_out))


def _public(entry: Mapping[str, Any], algorithm: str) -> PublicKey | None:
    """Returns the public half of a key, whatever else a careless source shows; None if unusable."""
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    shown = {name: value for name, value in entry.items() if name not in _PRIVATE}
    reader = RSAAlgorithm if algorithm == "RS256" else ECAlgorithm
    try:
        key = reader.from_jwk(shown)
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError, ArithmeticError):
        return None
    match key:
        case RSAPublicKey():
            return key if key.key_size >= _FEWEST_RSA_BITS else None
        case EllipticCurvePublicKey():
            return key if isinstance(key.curve, SECP256R1) else None
        case _:
            return None
