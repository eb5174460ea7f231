"""Whose certificates are refused though they are valid: the deny list of `perdure tls revoke`."""

import json
from dataclasses import dataclass
from typing import Final

from perdure.rpc.peer_certificate import PeerCertificate


@dataclass(frozen=True, slots=True)
class Denied:
    """Serial numbers, in lower-case hexadecimal without leading zeros, and SPIFFE ids."""

    serials: frozenset[str] = frozenset()
    spiffe_ids: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Tells whether anybody is refused."""
        return bool(self.serials or self.spiffe_ids)

    def refuses(self, certificate: PeerCertificate | None) -> bool:
        """Tells whether a certificate's owner is refused."""
        return certificate is not None and (
            certificate.serial in self.serials
            or not self.spiffe_ids.isdisjoint(certificate.spiffe_ids)
        )


NOBODY: Final = Denied()


def parse(data: bytes) -> Denied:
    """Returns what a deny list says; keys that are not known here are left alone.

    Raises:
        ValueError: It is none; the message is half a sentence.
    """
    try:
        read = json.loads(data)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from None
    if not isinstance(read, dict):
        raise ValueError("is not a deny list, which has serials and spiffeIds")
    return Denied(
        frozenset(serial.lower().lstrip("0") for serial in _texts(read, "serials")),
        frozenset(_texts(read, "spiffeIds")),
    )


def _texts(read: dict[str, object], key: str) -> list[str]:
    values = read.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f'is not a deny list: "{key}" must be a list of texts')
    return values
