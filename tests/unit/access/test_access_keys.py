"""Keys of tokens: which are taken, when they are read again, and what stays when they cannot be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from perdure.access import jwks, sources
from perdure.access.keys import UNKNOWN_SECONDS, KeyRing
from perdure.access.observer import SilentObserver
from perdure.access.sources import SourceError
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.tasks import TaskSet
from unit.access.issuing import Issuer, ec_key, http_server, jwk, key_set, rsa_key
from waiting import until

SOURCE = "https://issuer.example.com/keys"


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


@pytest.fixture
async def tasks() -> AsyncIterator[TaskSet]:
    tasks = TaskSet(on_error=fail)
    yield tasks
    await tasks.close()


class Sources:
    """Documents by URI; what is not there cannot be read."""

    def __init__(self, **documents: bytes) -> None:
        self.documents = {SOURCE: b"", **documents}
        self.asked = 0
        self.held: asyncio.Event | None = None

    async def fetch(self, uri: str) -> bytes:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if not (document := self.documents.get(uri, b"")):
            raise SourceError("away")
        return document


class Reads(SilentObserver):
    def __init__(self) -> None:
        self.reads: list[bool] = []
        self.keys: list[int] = []

    def keys_read(self, *, succeeded: bool) -> None:
        self.reads.append(succeeded)

    def keys_known(self, number: int) -> None:
        self.keys.append(number)


def ring(
    tasks: TaskSet,
    documents: Sources,
    clock: ManualClock | None = None,
    observer: SilentObserver | None = None,
    names: tuple[str, ...] = (SOURCE,),
) -> KeyRing:
    return KeyRing(
        sources=names,
        fetch=documents.fetch,
        clock=clock or ManualClock(),
        observer=observer or SilentObserver(),
        tasks=tasks,
    )


def test_a_key_set_of_both_kinds() -> None:
    found = jwks.parse(key_set(jwk("a", rsa_key()), jwk("b", ec_key(), use="sig", alg="ES256")))
    assert found.keys.keys() == {("RS256", "a"), ("ES256", "b")}
    assert found.left_out == frozenset()


def test_what_cannot_verify_costs_the_others_nothing() -> None:
    weak = jwk("weak", rsa_key(0, 1024))
    found = jwks.parse(
        key_set(
            jwk("good", rsa_key()),
            jwk("for encryption", rsa_key(), use="enc"),
            jwk("another algorithm", rsa_key(), alg="RS512"),
            jwk("another curve", ec.generate_private_key(ec.SECP384R1())),
            weak,
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            {"kty": "EC", "kid": "empty"},
            {"kty": 7, "kid": "odd"},
            {name: value for name, value in jwk("", rsa_key()).items() if name != "kid"},
        )
    )
    assert found.keys.keys() == {("RS256", "good")}
    assert found.left_out == {
        *("for encryption", "another algorithm", "another curve", "weak", "secret", "broken"),
        *("empty", "odd", ""),
    }


def test_of_a_private_key_only_the_public_half_is_taken() -> None:
    shown = {
        "a": {**RSAAlgorithm.to_jwk(rsa_key(), as_dict=True), "kid": "a"},
        "b": {**ECAlgorithm.to_jwk(ec_key(), as_dict=True), "kid": "b"},
    }
    assert all("d" in each for each in shown.values())
    for key in jwks.parse(key_set(*shown.values())).keys.values():
        assert not hasattr(key, "private_numbers")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": 7}',
        b'{"keys": ["a"]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(SourceError):
        jwks.parse(document)


async def test_the_last_good_keys_stay_when_a_source_is_away(tasks: TaskSet) -> None:
    issuer, observer = Issuer(), Reads()
    documents = Sources(other=issuer.published)
    documents.documents[SOURCE] = key_set(jwk("second", ec_key()))
    keys = ring(tasks, documents, observer=observer, names=(SOURCE, "other"))
    await keys.refresh()
    assert len(keys) == 2
    documents.documents[SOURCE] = b""
    documents.documents["other"] = b"<html>"
    await keys.refresh()
    assert len(keys) == 2
    assert await keys.find("RS256", "first") is not None
    assert observer.reads == [True, True, False, False]
    assert observer.keys == [2, 2]


async def test_a_key_that_its_source_has_no_more_is_gone(tasks: TaskSet) -> None:
    documents = Sources()
    documents.documents[SOURCE] = Issuer().published
    keys, changes = ring(tasks, documents), []
    keys.subscribe(lambda: changes.append(len(keys)))
    await keys.refresh()
    await keys.refresh()
    documents.documents[SOURCE] = key_set()
    await keys.refresh()
    assert changes == [1, 0], "what stays the same is no change"
    assert await keys.find("RS256", "first") is None


async def test_a_key_verifies_only_its_own_algorithm(tasks: TaskSet) -> None:
    documents = Sources()
    documents.documents[SOURCE] = Issuer().published
    keys = ring(tasks, documents)
    assert await keys.find("ES256", "first") is None
    assert await keys.find("RS256", "first") is not None


async def test_an_unknown_key_has_sources_read_but_not_too_often(tasks: TaskSet) -> None:
    documents, clock = Sources(), ManualClock()
    documents.documents[SOURCE] = key_set()
    keys = ring(tasks, documents, clock)
    await keys.refresh()
    documents.documents[SOURCE] = Issuer().published
    clock.advance(UNKNOWN_SECONDS - 0.001)
    for _ in range(5):
        assert await keys.find("RS256", "first") is None
    assert documents.asked == 1
    clock.advance(0.001)
    assert await keys.find("RS256", "first") is not None
    for number in range(100):
        assert await keys.find("RS256", f"unknown {number}") is None
    assert documents.asked == 2


async def test_all_who_ask_meanwhile_wait_for_one_read(tasks: TaskSet) -> None:
    documents, clock = Sources(), ManualClock()
    documents.documents[SOURCE] = Issuer().published
    documents.held = asyncio.Event()
    keys = ring(tasks, documents, clock)
    asked = [asyncio.ensure_future(keys.find("RS256", "first"))]
    await until(lambda: documents.asked == 1)
    asked += [asyncio.ensure_future(keys.find("RS256", "first")) for _ in range(10)]
    gone = asyncio.ensure_future(keys.find("RS256", "first"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    documents.held.set()
    assert all(key is not None for key in await asyncio.gather(*asked))
    assert documents.asked == 1


async def test_keys_change_on_a_running_server(tasks: TaskSet) -> None:
    issuer, clock = Issuer(), ManualClock()
    with http_server(issuer.published) as published:
        keys = KeyRing(
            sources=[published.url],
            fetch=sources.fetch,
            clock=clock,
            observer=SilentObserver(),
            tasks=tasks,
        )
        await keys.refresh()
        issuer.keys["second"] = ec_key()
        published.document = issuer.published
        clock.advance(UNKNOWN_SECONDS)
        assert await keys.find("ES256", "second") is not None
        published.status = 503
        clock.advance(UNKNOWN_SECONDS)
        assert await keys.find("RS256", "third") is None
        assert published.asked == 3
        assert len(keys) == 2


async def test_files_and_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "my keys.json"
    path.write_bytes(b"keys")
    assert await sources.fetch(path.as_uri()) == b"keys"
    assert await sources.fetch(f"file://localhost{path.as_uri()[7:]}") == b"keys"
    path.write_bytes(b" " * ((1 << 20) + 1))
    for uri in (
        path.as_uri(),
        tmp_path.as_uri(),
        (tmp_path / "nothing").as_uri(),
        "http://127.0.0.1:1/",
        "http://127.0.0.1:99999/",
    ):
        with pytest.raises(SourceError):
            await sources.fetch(uri)
