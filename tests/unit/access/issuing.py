"""An issuer of tokens for tests: keys of its own, the key set that it publishes, what it signs."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from perdure.runtime.deterministic import ManualClock

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
NOW = ManualClock().now() // 1_000_000_000
"""When tokens are signed, in seconds since the Unix epoch."""


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Returns an RSA key, the same one whenever it is asked for: they are slow to make."""
    assert number >= 0
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(name: str, key: PrivateKey, **more: str) -> dict[str, Any]:
    """Returns a public key as key sets have it."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def part(value: object) -> str:
    """Returns a part of a token made by hand."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Issuer:
    """Signs tokens with one key after the other."""

    keys: dict[str, PrivateKey] = field(default_factory=lambda: {"first": rsa_key()})

    @property
    def published(self) -> bytes:
        return key_set(*(jwk(name, key) for name, key in self.keys.items()))

    def token(self, permissions: object = (), *, by: str = "first", **claims: object) -> str:
        """Returns a token of an hour for somebody called ada."""
        key = self.keys[by]
        payload = {"sub": "ada", "exp": NOW + 3600, "permissions": permissions, **claims}
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            key,
            algorithm="RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256",
            headers={"kid": by},
        )

    def header(self, permissions: object = (), **claims: Any) -> str:
        return f"Bearer {self.token(permissions, **claims)}"


@dataclass
class Published:
    """What an HTTP server answers, and how often it was asked."""

    document: bytes = b""
    status: int = 200
    asked: int = 0
    url: str = ""


@contextmanager
def http_server(document: bytes) -> Iterator[Published]:
    """Publishes a document on a port of this machine."""
    published = Published(document)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked += 1
            self.send_response(published.status)
            self.send_header("Content-Length", str(len(published.document)))
            self.end_headers()
            self.wfile.write(published.document)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        published.url = f"http://127.0.0.1:{server.server_port}/keys.json"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield published
        finally:
            server.shutdown()
            thread.join()
