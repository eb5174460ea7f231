"""Who may call what, in the form of Temporal's configuration: its section `global.authorization`.

`certificates` is a key of our own. What is said by halves is refused: a key that would be without
effect, and an authorizer that nobody could get past or that would let everybody past.
"""

import re
import urllib.parse
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from perdure.config.durations import Duration

_GROUPS: Final = {"namespace", "role"}
_WORDS: Final = ("worker", "read", "write", "admin")
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")  # SPIFFE-ID, 2.1
_HEADER: Final = re.compile(r"[0-9a-z_.-]+")  # what gRPC lets metadata be called
_SCHEMES: Final = ("https", "http", "file")


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        alias_generator=to_camel,
    )


def _folded(value: Any) -> Any:
    """Returns a name in lower case, as Temporal compares them."""
    return value.lower() if isinstance(value, str) else value


def _source_problem(uri: str) -> str:
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError:
        return "is no URI"
    if parts.scheme not in _SCHEMES:
        return "must begin with https://, http:// or file://"
    if parts.password is not None:
        return "must hold no password: it would stand in logs"
    if parts.scheme == "file":
        is_here = parts.netloc in {"", "localhost"} and parts.path
        return "" if is_here else "must name a file of this host, such as file:///etc/keys.json"
    return "" if parts.hostname else "names no host"


def _is_header(name: str) -> str:
    if name and (not _HEADER.fullmatch(name.lower()) or name.lower().endswith("-bin")):
        raise ValueError(f'"{name}" cannot be the name of a header')
    return name


Name = Annotated[Literal["", "default"], BeforeValidator(_folded)]
Header = Annotated[str, AfterValidator(_is_header)]


class JwtKeyProvider(_Model):
    """Where the public keys are that tokens are verified with."""

    key_source_uris: list[str] = Field(default=[], alias="keySourceURIs")
    """JSON Web Key Sets: https://…, http://… or file:///…; empty ones are left out."""
    refresh_interval: Duration = "1m"
    """How often they are read again; "0s" for only when a token names a key that is not known."""

    @field_validator("key_source_uris")
    @classmethod
    def _can_be_read(cls, uris: list[str]) -> list[str]:
        for uri in filter(str.strip, uris):
            if problem := _source_problem(uri):
                raise ValueError(f'keySourceURIs: "{uri}" {problem}')
        return uris

    @property
    def sources(self) -> list[str]:
        """The URIs that are not empty."""
        return [uri.strip() for uri in self.key_source_uris if uri.strip()]


class Certificates(_Model):
    """What client certificates stand for, where there are any. A key of our own."""

    trust_domain: str = ""
    """Whose SPIFFE ids say role and namespace; without one, none do."""
    subjects: dict[str, list[str]] = {}
    """Permissions (namespace:role) by a certificate's subject (RFC 4514) or SPIFFE id."""

    @field_validator("trust_domain")
    @classmethod
    def _is_trust_domain(cls, domain: str) -> str:
        if domain and not _TRUST_DOMAIN.fullmatch(domain):
            raise ValueError(
                f'"{domain}" is no trust domain: it has lower-case letters, digits, ".", "_", "-"'
            )
        return domain

    @field_validator("subjects")
    @classmethod
    def _are_permissions(cls, subjects: dict[str, list[str]]) -> dict[str, list[str]]:
        for subject, permissions in subjects.items():
            if "=" not in subject and not subject.startswith("spiffe://"):
                raise ValueError(
                    f'"{subject}" is no subject: write all of it, such as CN=desk-1,O=example.com'
                )
            for permission in permissions:
                namespace, _, role = permission.partition(":")
                if not namespace or role not in _WORDS:
                    raise ValueError(
                        f'"{permission}" of "{subject}" is no permission: it is namespace:role with'
                        f" one of the roles {', '.join(_WORDS)}"
                    )
        return subjects


class Authorization(_Model):
    """Who may call what."""

    authorizer: Name = ""
    """Empty: whoever reaches the port may do anything. default: what nothing allows is refused."""
    claim_mapper: Name = ""
    """The same as the authorizer: what tokens and certificates say is what they are judged by."""
    jwt_key_provider: JwtKeyProvider = JwtKeyProvider()
    """Where the public keys are that tokens are verified with."""
    permissions_claim_name: str = Field(default="permissions")
    """The claim of a token that lists its permissions; empty for `permissions`."""
    permissions_regex: str = ""
    """Finds namespace and role in a permission, by groups of these names; empty: namespace:role."""
    auth_header_name: Header = ""
    """The header in which tokens come; empty for authorization."""
    auth_extra_header_name: Header = ""
    """Accepted, without effect: the default claim mapper looks at no second header."""
    audience: str = ""
    """What tokens must be meant for; empty: the audience is not looked at."""
    certificates: Certificates = Certificates()
    """What client certificates stand for, where there are any. A key of our own."""

    @field_validator("permissions_regex")
    @classmethod
    def _finds_both(cls, text: str) -> str:
        if not text:
            return text
        try:
            groups = re.compile(text).groupindex
        except re.error as error:
            raise ValueError(f"permissionsRegex is no regular expression: {error}") from None
        if not groups.keys() >= _GROUPS:
            raise ValueError("permissionsRegex needs the groups (?P<namespace>…) and (?P<role>…)")
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        certificates = self.certificates
        says = {
            "jwtKeyProvider.keySourceURIs": bool(self.jwt_key_provider.sources),
            "permissionsRegex": bool(self.permissions_regex),
            "audience": bool(self.audience),
            "certificates": bool(certificates.trust_domain or certificates.subjects),
            "claimMapper": bool(self.claim_mapper),
        }
        given = [name for name, is_given in says.items() if is_given]
        if not self.authorizer:
            if given:
                raise ValueError(
                    f"global.authorization.{given[0]} has no effect without authorizer: default,"
                    " which refuses what is not allowed"
                )
            return self
        if not self.claim_mapper:
            raise ValueError(
                "global.authorization.authorizer needs claimMapper: default beside it, which reads"
                " tokens and certificates"
            )
        if not (says["jwtKeyProvider.keySourceURIs"] or says["certificates"]):
            raise ValueError(
                "global.authorization lets nobody in: name key sets for tokens in"
                " jwtKeyProvider.keySourceURIs, or certificates.trustDomain"
            )
        return self
