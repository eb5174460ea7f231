"""JSON Web Tokens in Temporal's form: verified, and mapped to claims.

Rules that hold here: a token is good only if a key of the ring signed it, by the key's own
algorithm; its times are checked at every call, its signature once: what was found is remembered by
the token itself, until keys change. Times are compared as they are, as on the real server.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import jwt
from jwt.exceptions import InvalidTokenError
from jwt.types import Options

from perdure.access import jwks
from perdure.access.claims import Claims, Grants, parse_permission, role_of
from perdure.access.keys import KeyRing
from perdure.runtime.ports import Clock

MOST_REMEMBERED: Final = 2_048
_BEARER: Final = "bearer"
_NANOSECONDS: Final = 1_000_000_000
_CHECKED_HERE: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_jti": False,
}
"""What the library leaves to us: times, by our clock. It checks signature, audience and form."""


class TokenError(Exception):
    """A token is not good; the message says why, for the log only."""


class NoKeysError(TokenError):
    """There are no keys at all to verify tokens with."""


@dataclass(frozen=True, slots=True)
class TokenForm:
    """What tokens must be like.

    Attributes:
        audience: One of whose audiences they must name; empty for none.
        permissions_claim: Where permissions stand.
        permissions_pattern: With the groups `namespace` and `role`, searched for in each; None for
            `namespace:role`.
    """

    audience: str = ""
    permissions_claim: str = "permissions"
    permissions_pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, *, audience: str, permissions_claim: str, permissions_regex: str) -> Self:
        """Returns a form as it is configured; without a regular expression, `namespace:role`."""
        pattern = re.compile(permissions_regex) if permissions_regex else None
        return cls(audience, permissions_claim, pattern)


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: Claims
    not_before: float
    expires: float


class TokenMapper:
    """Makes claims of the header of a call."""

    def __init__(self, *, keys: KeyRing, form: TokenForm, clock: Clock) -> None:
        """Makes a mapper that has seen no token.

        Args:
            keys: Verify signatures.
            form: What tokens must be like.
            clock: Says what time it is.
        """
        self._keys = keys
        self._form = form
        self._clock = clock
        self._remembered: OrderedDict[str, _Verified] = OrderedDict()
        keys.subscribe(self._remembered.clear)

    def __len__(self) -> int:
        """Returns how many tokens are remembered."""
        return len(self._remembered)

    async def map(self, header: str) -> Claims:
        """Returns what a header says, such as `Bearer eyJhbGc…`.

        Raises:
            TokenError: The token is not good.
        """
        verified = self._remembered.get(header)
        if verified is None:
            verified = await self._verify(header)
            self._remembered[header] = verified
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(header)
        now = self._clock.now() / _NANOSECONDS
        if now >= verified.expires:
            del self._remembered[header]
            raise TokenError("the token has expired")
        if now < verified.not_before:
            raise TokenError("the token is not valid yet")
        return verified.claims

    async def _verify(self, header: str) -> _Verified:
        scheme, space, token = header.partition(" ")
        if not space:
            raise TokenError('the header is not "Bearer" and a token')
        if scheme.lower() != _BEARER:
            raise TokenError('the header does not begin with "Bearer"')
        payload = await self._payload(token)
        subject = payload.get("sub")
        if not isinstance(subject, str):
            raise TokenError('the token has no "sub"')
        return _Verified(
            claims=self._granted(payload).claims(subject),
            not_before=_time(payload, "nbf", default=float("-inf")),
            expires=_time(payload, "exp", default=float("inf")),
        )

    async def _payload(self, token: str) -> Mapping[str, Any]:
        try:
            head = jwt.get_unverified_header(token)
        except InvalidTokenError as error:
            raise TokenError(f"no token: {error}") from None
        algorithm, name = head.get("alg"), head.get("kid")
        if algorithm not in jwks.ALGORITHMS:
            raise TokenError(f"signed by {algorithm!r}: only {' and '.join(jwks.ALGORITHMS)} are")
        if not isinstance(name, str):
            raise TokenError('the token names no key ("kid")')
        key = await self._keys.find(algorithm, name)
        if key is None:
            if not len(self._keys):
                raise NoKeysError("no keys could be read yet: no token can be verified")
            raise TokenError(f"no source has the {algorithm} key {name!r}")
        audience = self._form.audience
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=audience or None,
                options={**_CHECKED_HERE, "verify_aud": bool(audience)},
            )
        except InvalidTokenError as error:
            raise TokenError(f"{type(error).__name__}: {error}") from None

    def _granted(self, payload: Mapping[str, Any]) -> Grants:
        """Returns what permissions give; those of another form give nothing."""
        grants = Grants()
        permissions = payload.get(self._form.permissions_claim)
        if not isinstance(permissions, list):
            return grants
        pattern = self._form.permissions_pattern
        for text in permissions:
            if not isinstance(text, str):
                continue
            if pattern is None:
                if (parsed := parse_permission(text)) is not None:
                    grants.add(*parsed)
            elif (match := pattern.search(text)) is not None:
                grants.add(match["namespace"] or "", role_of(match["role"] or ""))
        return grants


def _time(payload: Mapping[str, Any], name: str, *, default: float) -> float:
    """Returns a time of a token, in seconds since the Unix epoch."""
    value = payload.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TokenError(f'"{name}" of the token is no number')
    return value
