"""Tokens: what is good, what is not, and that nothing else gets past."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import jwt
import pytest

from perdure.access.claims import Claims, Role
from perdure.access.keys import UNKNOWN_SECONDS, KeyRing
from perdure.access.observer import SilentObserver
from perdure.access.sources import SourceError
from perdure.access.tokens import (
    MOST_REMEMBERED,
    NoKeysError,
    TokenError,
    TokenForm,
    TokenMapper,
)
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.tasks import TaskSet
from unit.access.issuing import NOW, Issuer, ec_key, part, public_pem, rsa_key

NAN = float("nan")


class World:
    """A mapper whose issuer and clock a test moves."""

    def __init__(self, tasks: TaskSet, form: TokenForm | None = None) -> None:
        self.issuer = Issuer({"first": rsa_key(), "elliptic": ec_key()})
        self.clock = ManualClock()
        self.is_away = False
        self.reads = 0
        self.keys = KeyRing(
            sources=["file:///keys"],
            fetch=self._fetch,
            clock=self.clock,
            observer=SilentObserver(),
            tasks=tasks,
        )
        self.mapper = TokenMapper(keys=self.keys, form=form or TokenForm(), clock=self.clock)

    async def _fetch(self, _uri: str) -> bytes:
        self.reads += 1
        if self.is_away:
            raise SourceError("away")
        return self.issuer.published

    async def reason(self, header: str) -> str:
        """Returns why a header is refused."""
        with pytest.raises(TokenError) as caught:
            await self.mapper.map(header)
        return str(caught.value)


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


@pytest.fixture
async def tasks() -> AsyncIterator[TaskSet]:
    tasks = TaskSet(on_error=fail)
    yield tasks
    await tasks.close()


@pytest.fixture
def world(tasks: TaskSet) -> World:
    return World(tasks)


@pytest.mark.parametrize("by", ["first", "elliptic"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_token(world: World, by: str, scheme: str) -> None:
    token = world.issuer.token(["orders:read", "orders:WORKER", "temporal-system:write"], by=by)
    assert await world.mapper.map(f"{scheme} {token}") == Claims(
        "ada", Role.WRITER, {"orders": Role.READER | Role.WORKER}
    )


async def test_permissions_of_another_form_give_nothing(world: World) -> None:
    header = world.issuer.header(
        ["orders", ":admin", "orders:owner", "a:b:read", "", 7, None, "billing:read"]
    )
    claims = await world.mapper.map(header)
    assert {name: role for name, role in claims.namespaces.items() if role} == {
        "billing": Role.READER
    }
    assert claims.system is Role.NONE


@pytest.mark.parametrize("permissions", [None, "orders:admin", {"orders": "admin"}, 7])
async def test_permissions_that_are_no_list_give_nothing(world: World, permissions: object) -> None:
    header = world.issuer.header(permissions)
    assert await world.mapper.map(header) == Claims("ada")


async def test_the_claim_and_its_form_are_configurable(tasks: TaskSet) -> None:
    form = TokenForm.of(
        audience="",
        permissions_claim="roles",
        permissions_regex="^temporal/(?P<role>[a-z]+)@(?P<namespace>.+)$",
    )
    world = World(tasks, form)
    header = world.issuer.header(
        ["orders:admin"], roles=["temporal/read@orders", "orders:write", "temporal/admin@"]
    )
    assert await world.mapper.map(header) == Claims("ada", namespaces={"orders": Role.READER})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "the header is not"),
        ("Bearer", "the header is not"),
        ("Bearer ", "no token"),
        ("Basic YWRhOnNlY3JldA==", "does not begin with"),
        ("Bearer not.a.token", "no token"),
        ("Bearer a.b", "no token"),
        ("Bearer \x00\xff", "no token"),
        (f"Bearer {'a' * 7000}", "no token"),
        (f"Bearer {part([])}.{part({})}.", "no token"),
        (f"Bearer {part({'alg': 'RS256'})}.{part({})}.", "names no key"),
        (f"Bearer {part({'alg': 'RS256', 'kid': 7})}.{part({})}.", ""),
        (f"Bearer {part({'alg': ['RS256'], 'kid': 'first'})}.{part({})}.", ""),
        (f"Bearer {part({'alg': 'RS256', 'kid': 'first'})}.{part({})}.", "InvalidSignature"),
        (f"Bearer {part({'alg': 'RS256', 'kid': 'first'})}.{part(b'{')}.", ""),
    ],
)
async def test_garbage(world: World, header: str, reason: str) -> None:
    assert reason in await world.reason(header)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
async def test_a_token_without_a_signature(world: World, algorithm: str) -> None:
    head = {"alg": algorithm, "kid": "first", "typ": "JWT"}
    body = {"sub": "ada", "permissions": ["temporal-system:admin"], "exp": NOW + 60}
    assert "signed by" in await world.reason(f"Bearer {part(head)}.{part(body)}.")


@pytest.mark.parametrize("algorithm", ["HS256", "hs256"])
async def test_a_token_signed_with_the_public_key_as_a_secret(world: World, algorithm: str) -> None:
    head = {"alg": algorithm, "kid": "first", "typ": "JWT"}
    body = {"sub": "ada", "permissions": ["temporal-system:admin"], "exp": NOW + 60}
    signed = f"{part(head)}.{part(body)}"
    for secret in (public_pem(rsa_key()), world.issuer.published):
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        assert "signed by" in await world.reason(f"Bearer {signed}.{part(mac)}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES384", "EdDSA"])
async def test_other_algorithms(world: World, algorithm: str) -> None:
    token = part({"alg": algorithm, "kid": "first"}) + "." + part({"sub": "ada"}) + ".AA"
    assert "only RS256 and ES256" in await world.reason(f"Bearer {token}")


async def test_a_key_of_the_other_kind(world: World) -> None:
    token = jwt.encode(
        {"sub": "ada"}, world.issuer.keys["elliptic"], algorithm="ES256", headers={"kid": "first"}
    )
    assert "no source has the ES256 key 'first'" in await world.reason(f"Bearer {token}")


async def test_a_changed_token(world: World) -> None:
    token = world.issuer.token(["orders:read"])
    head, _, signature = token.split(".")
    body = part({"sub": "ada", "permissions": ["orders:admin"], "exp": NOW + 60})
    assert "InvalidSignature" in await world.reason(f"Bearer {head}.{body}.{signature}")


async def test_another_issuers_token_under_the_same_key_id(world: World) -> None:
    stranger = Issuer({"first": rsa_key(1)})
    assert "InvalidSignature" in await world.reason(stranger.header(["orders:admin"]))


async def test_a_token_ends_when_it_says(world: World) -> None:
    header = world.issuer.header(["orders:read"], exp=NOW + 10)
    await world.mapper.map(header)
    world.clock.advance(9.999)
    await world.mapper.map(header)
    world.clock.advance(0.001)
    assert await world.reason(header) == "the token has expired"
    assert len(world.mapper) == 0
    assert await world.reason(header) == "the token has expired"


async def test_a_token_begins_when_it_says(world: World) -> None:
    header = world.issuer.header(["orders:read"], nbf=NOW + 10)
    assert await world.reason(header) == "the token is not valid yet"
    world.clock.advance(10)
    assert (await world.mapper.map(header)).subject == "ada"


async def test_a_token_without_an_end_goes_on_as_long_as_its_key(world: World) -> None:
    header = world.issuer.header(["orders:read"], exp=None)
    world.clock.advance(10 * 365 * 86_400)
    await world.mapper.map(header)
    world.issuer.keys = {"second": rsa_key(1)}
    await world.keys.refresh()
    assert "no source has" in await world.reason(header)


@pytest.mark.parametrize(
    "claims", [{"exp": "soon"}, {"exp": True}, {"nbf": [1]}, {"exp": {}}, {"exp": NAN}]
)
async def test_times_that_are_none(world: World, claims: dict[str, object]) -> None:
    assert "no number" in await world.reason(world.issuer.header(**claims))


async def test_times_far_away(world: World) -> None:
    await world.mapper.map(world.issuer.header(exp=1e300))
    assert "expired" in await world.reason(world.issuer.header(exp=-(10**30)))


async def test_when_it_was_issued_is_not_looked_at(world: World) -> None:
    await world.mapper.map(world.issuer.header(iat=NOW + 60))


@pytest.mark.parametrize("subject", [None, 7, ["ada"]])
async def test_a_token_of_nobody(world: World, subject: object) -> None:
    await world.reason(world.issuer.header(["orders:read"], sub=subject))


@pytest.mark.parametrize("audience", ["temporal", ["other", "temporal"]])
async def test_the_audience(tasks: TaskSet, audience: object) -> None:
    world = World(tasks, TokenForm(audience="temporal"))
    assert (await world.mapper.map(world.issuer.header(aud=audience))).subject == "ada"


@pytest.mark.parametrize("audience", [None, "other", ["a", "b"], [], "", 7, ["temporal", 7]])
async def test_another_audience(tasks: TaskSet, audience: object) -> None:
    world = World(tasks, TokenForm(audience="temporal"))
    assert "Audience" in (reason := await world.reason(world.issuer.header(aud=audience))) or (
        "aud" in reason
    )


async def test_without_a_configured_audience_any_will_do(world: World) -> None:
    await world.mapper.map(world.issuer.header(aud="whoever"))


async def test_an_unknown_key(world: World) -> None:
    stranger = Issuer({"third": rsa_key(1)})
    await world.keys.refresh()
    assert "no source has the RS256 key 'third'" in await world.reason(stranger.header(by="third"))
    assert world.reads == 1


async def test_without_keys_nothing_can_be_verified(world: World) -> None:
    world.is_away = True
    with pytest.raises(NoKeysError):
        await world.mapper.map(world.issuer.header())
    world.is_away = False
    world.clock.advance(UNKNOWN_SECONDS)
    await world.mapper.map(world.issuer.header())


async def test_a_rotation(world: World) -> None:
    old = world.issuer.header(["orders:read"])
    await world.mapper.map(old)
    world.issuer.keys["second"] = rsa_key(1)
    world.clock.advance(UNKNOWN_SECONDS)
    assert (await world.mapper.map(world.issuer.header(by="second"))).subject == "ada"
    await world.mapper.map(old)
    del world.issuer.keys["first"]
    await world.keys.refresh()
    assert "no source has" in await world.reason(old), "what was remembered goes with its key"


async def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.access.tokens.MOST_REMEMBERED", 4)
    assert MOST_REMEMBERED > 4
    headers = [world.issuer.header(sub=f"user {number}") for number in range(10)]
    for header in headers:
        await world.mapper.map(header)
        await world.mapper.map(headers[0])
    assert len(world.mapper) == 4


async def test_a_signature_is_verified_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    decode = jwt.decode

    def counted(*arguments: object, **more: object) -> object:
        verified.append(arguments)
        return decode(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(jwt, "decode", counted)
    header = world.issuer.header()
    for _ in range(10):
        await world.mapper.map(header)
    assert len(verified) == 1
