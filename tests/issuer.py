"""An OpenID provider for tests: a real HTTP server with real keys, which can misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from longrun_api import base64url

AUDIENCE = "longrun-tests"
CLIENT, CLIENT_SECRET = "console", "a secret: +/%"


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
        self.redirect_url = ""
        """Where people are led back to: nowhere else."""
        self.access: dict[str, Any] | None = {}
        """Claims of the access token that differ from the right ones; None: it is no JWT."""
        self.identity: dict[str, Any] = {}
        """Claims of the ID token that differ from the right ones."""
        self.codes: dict[str, dict[str, str]] = {}
        """What was asked for with each code that nobody has used yet."""
        self.open = threading.Event()
        """While it is not set, nobody gets the keys."""
        self.open.set()

    def answer(self, path: str) -> bytes:
        """The body for a path."""
        if path == "/.well-known/openid-configuration":
            endpoints = {name: f"{self.url}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
            right = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **endpoints}
            return json.dumps({**right, **self.description}).encode()
        if path.startswith("/authorization_endpoint?"):
            return self.authorize({name: values[0] for name, values in parse_qs(urlsplit(path).query).items()})
        self.fetches += 1
        self.open.wait()
        return self.jwks if isinstance(self.jwks, bytes) else json.dumps(self.jwks).encode()

    def authorize(self, asked: dict[str, str]) -> bytes:
        """A page on which a person says yes or no."""
        assert asked["redirect_uri"] == self.redirect_url
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_hex(8)
        self.codes[code] = asked
        back = {"state": asked["state"], "iss": self.url}
        yes, no = ({**back, "code": code}, {**back, "error": "access_denied", "error_description": "<b>No.</b>"})
        links = (
            f'<a href="{self.redirect_url}?{urlencode(query)}">{name}</a>' for name, query in (("Yes", yes), ("No", no))
        )
        return f"<!doctype html><html lang=en><title>Provider</title>{' '.join(links)}".encode().replace(b"&", b"&amp;")

    def give(self, authorization: str, form: dict[str, str]) -> tuple[int, bytes]:
        """The answer of the token endpoint: each code gives tokens once, to the client that asked for it."""
        asked = self.codes.pop(form["code"], None)
        challenge = base64url.encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        client = f"{CLIENT}:a+secret%3A+%2B%2F%25"  # RFC 6749, section 2.3.1
        if authorization != f"Basic {base64.b64encode(client.encode()).decode()}":
            return 401, b'{"error": "invalid_client"}'
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, b'{"error": "invalid_grant", "error_description": "the code is unknown"}'
        scope = "longrun:read longrun:submit longrun:cancel"
        access = "opaque" if self.access is None else self.token(scope=scope, **self.access)
        identity = self.token(**{"aud": CLIENT, "nonce": asked["nonce"], **self.identity})
        return 200, json.dumps({"access_token": access, "id_token": identity, "token_type": "Bearer"}).encode()

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
            self.reply(issuer.status, issuer.answer(self.path))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            given = {name: values[0] for name, values in form.items()}
            self.reply(*issuer.give(self.headers.get("Authorization", ""), given))

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
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
