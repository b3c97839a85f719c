"""An OpenID provider for tests: a real HTTP server with real keys, which can misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "longrun-tests"


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key of this name."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of this name on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def jwk(kid: str, **members: Any) -> dict[str, Any]:
    """The public JWK of the key of this name: RSA, or EC if the name begins with `ec`."""
    public = (
        ECAlgorithm.to_jwk(ec_key(kid).public_key(), as_dict=True)
        if kid.startswith("ec")
        else RSAAlgorithm.to_jwk(rsa_key(kid).public_key(), as_dict=True)
    )
    return {**{name: value for name, value in public.items() if name != "key_ops"}, "kid": kid, **members}


class TestIssuer:
    """What the provider publishes, and how often it was asked. Change its attributes to make it misbehave."""

    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self.jwks: Any = {"keys": [jwk("rsa-1"), jwk("ec-1")]}
        """What is published: an object, or bytes as they are."""
        self.status = 200
        self.description: dict[str, Any] = {}
        """Members of the description that differ from the right ones."""
        self.fetches = 0
        """How often the keys were asked for."""
        self.open = threading.Event()
        """While it is not set, nobody gets the keys."""
        self.open.set()

    def answer(self, path: str) -> bytes:
        """The body for a path."""
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.description}).encode()
        self.fetches += 1
        self.open.wait()
        return self.jwks if isinstance(self.jwks, bytes) else json.dumps(self.jwks).encode()

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Claims that are right, but for these; those that are None are left out."""
        now = int(time.time())
        right = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        return {name: value for name, value in {**right, **claims}.items() if value is not None}

    def token(self, kid: str = "rsa-1", *, algorithm: str = "", **claims: Any) -> str:
        """A JWT of this provider, signed with the key of this name."""
        key = ec_key(kid) if kid.startswith("ec") else rsa_key(kid)
        algorithm = algorithm or ("ES256" if kid.startswith("ec") else "RS256")
        return jwt.encode(self.claims(**claims), key, algorithm, headers={"kid": kid})


@contextmanager
def serving() -> Iterator[TestIssuer]:
    """A provider on a free port of this machine while the block lasts."""
    issuer = TestIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.answer(self.path)
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", f"{issuer.url}/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
