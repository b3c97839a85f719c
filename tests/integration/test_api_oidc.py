"""JWTs of an OpenID provider over HTTP: who is let in, for which owner and how long, and what a bad provider can do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jobcore.models.api_keys import new_key
from longrun_api.auth.issuer_keys import PAUSE_S
from tests.integration.keyed import KeyedApi
from tests.issuer import AUDIENCE, TestIssuer, jwk, rsa_key, serving
from tests.processes import Stack
from tests.waiting import until

ECHO = {"task_type": "echo", "input": {}, "queue": "nobody"}
ALL = "longrun:submit longrun:read longrun:cancel"


@pytest.fixture(scope="module")
def issuer() -> Iterator[TestIssuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def api(new_stack: Callable[[str], AbstractContextManager[Stack]], issuer: TestIssuer) -> Iterator[KeyedApi]:
    env = {
        "LONGRUN_AUTH": "keys,oidc",
        "LONGRUN_OIDC_ISSUER": issuer.url,
        "LONGRUN_OIDC_AUDIENCE": f"other,{AUDIENCE}",
        "LONGRUN_OIDC_OPERATORS": "longrun:operator",
        "LONGRUN_OIDC_LEEWAY_S": "0",
        "LONGRUN_OIDC_REFRESH_S": "1",
    }
    with new_stack("oidc") as stack:
        yield KeyedApi(stack, new_key(), **env)


def test_a_jwt_acts_for_its_owner_with_its_scopes(api: KeyedApi, issuer: TestIssuer) -> None:
    with (
        api.client(issuer.token(scope=ALL)) as ada,
        api.client(issuer.token("ec-1", sub="grace", aud=["x", AUDIENCE], scope=["longrun:read"])) as grace,
        api.client(issuer.token(sub="ops", scope=f"longrun:operator {ALL}")) as operator,
    ):
        task = ada.post("/tasks", json=ECHO).headers["location"]
        assert ada.get(task).json()["owner"] == "ada"
        assert grace.get(task).status_code == 404
        refused = grace.post("/tasks", json=ECHO)
        assert refused.status_code == 403
        assert refused.headers["www-authenticate"].endswith('error="insufficient_scope", scope="submit"')
        assert operator.get(task).json()["owner"] == "ada"
        assert api.admin.get(task).json()["owner"] == "ada"  # keys are accepted beside them
        with api.caller("read", owner="ada") as same_owner:
            assert same_owner.get(task).status_code == 200


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def signed_with_public_key(issuer: TestIssuer, form: bytes) -> str:
    """A JWT with HS256, whose secret is the public key, which everybody knows."""
    said = f"{encoded({'alg': 'HS256', 'kid': 'rsa-1'})}.{encoded(issuer.claims(scope=ALL))}"
    signature = hmac.digest(form, said.encode(), hashlib.sha256)
    return f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def unsigned(issuer: TestIssuer, **header: object) -> str:
    return f"{encoded({'alg': 'none', **header})}.{encoded(issuer.claims(scope=ALL))}."


def forged(issuer: TestIssuer) -> dict[str, str]:
    """JWTs that nobody should accept, by what is wrong with them."""
    good = issuer.token(scope=ALL)
    header, payload, signature = good.split(".")
    public, now = rsa_key("rsa-1").public_key(), int(time.time())
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "no signature": unsigned(issuer),
        "no signature, in capitals": unsigned(issuer, alg="NONE", kid="rsa-1"),
        "an algorithm that is no text": unsigned(issuer, alg=["RS256"]),
        "a kid that is no text": unsigned(issuer, alg="RS256", kid={}),
        "a signature that was cut off": f"{header}.{payload}.",
        "other claims under the same signature": f"{header}.{encoded(issuer.claims(sub='root'))}.{signature}",
        "the public key as a secret": signed_with_public_key(issuer, pem),
        "the public key as a secret, as a JWK": signed_with_public_key(issuer, json.dumps(jwk("rsa-1")).encode()),
        "a signature that is not allowed": issuer.token(algorithm="PS256"),
        "another key under a known name": issuer.token("mallory").replace(
            encoded({"alg": "RS256", "kid": "mallory", "typ": "JWT"}), header
        ),
        "a key of its own in the header": unsigned(issuer, alg="RS256", jwk=jwk("mallory"), jku="http://127.0.0.1:9"),
        "another issuer": issuer.token(iss="https://example.com"),
        "nearly the issuer": issuer.token(iss=f"{issuer.url}/"),
        "another audience": issuer.token(aud="another"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=now - 1),
        "no expiry": issuer.token(exp=None),
        "an expiry that is no number": issuer.token(exp="never"),
        "not yet valid": issuer.token(nbf=now + 60),
        "made in the future": issuer.token(iat=now + 60),
        "no subject": issuer.token(sub=None),
        "a subject that can be no owner": issuer.token(sub="a\x1fb"),
        "nothing": "..",
        "deep": f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.e30",
        "too long": issuer.token(note="x" * 10_000),
    }


def test_no_forged_jwt_is_accepted(api: KeyedApi, issuer: TestIssuer) -> None:
    for wrong, token in forged(issuer).items():
        response = httpx.get(f"{api.url}/tasks", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert response.status_code == 401, (wrong, response.text)
        assert response.headers["www-authenticate"] == 'Bearer realm="longrun", error="invalid_token"', wrong
        assert response.json()["type"] == "urn:longrun:problem:unauthenticated"
    assert "Traceback" not in api.process.log()


def test_a_holder_learns_what_is_wrong_with_a_jwt_that_the_issuer_signed(api: KeyedApi, issuer: TestIssuer) -> None:
    def detail(token: str) -> str:
        with api.client(token) as client:
            return str(client.get("/tasks").json()["detail"])

    assert "expired" in detail(issuer.token(exp=int(time.time()) - 1))
    assert "Audience" in detail(issuer.token(aud="another"))
    assert "its claim sub must be the owner" in detail(issuer.token(sub="a\x1fb"))
    assert detail(forged(issuer)["another key under a known name"]).startswith("the credentials are unknown")


def test_streams_end_when_their_jwt_expires(api: KeyedApi, issuer: TestIssuer) -> None:
    lasts_s = 3
    token = issuer.token(scope=ALL, exp=int(time.time()) + lasts_s)
    with api.client(token) as ada, api.client(None) as page:
        task = ada.post("/tasks", json=ECHO).headers["location"]
        params = {"stream_token": ada.post("/stream-tokens").json()["token"]}
        with ada.stream("GET", f"{task}/stream") as one, page.stream("GET", "/events/stream", params=params) as other:
            assert one.status_code == other.status_code == 200
            begun = time.monotonic()
            for stream in (one, other):
                with pytest.raises(httpx.TransportError):
                    stream.read()
            assert time.monotonic() - begun < 24, "a keepalive ended the stream, not the expiry"
        assert ada.get(task).status_code == 401
        assert page.get(f"{task}/stream", params=params).status_code == 401


def test_a_stream_token_of_a_jwt_opens_streams_of_its_owner_in_every_process(api: KeyedApi, issuer: TestIssuer) -> None:
    with api.client(issuer.token(scope=ALL)) as ada, api.client(issuer.token(sub="grace", scope=ALL)) as grace:
        task = ada.post("/tasks", json=ECHO).headers["location"]
        for client, status in ((ada, 200), (grace, 404)):
            params = {"stream_token": client.post("/stream-tokens").json()["token"]}
            assert params["stream_token"].count(".") == 1
            with httpx.stream("GET", f"{api.url}{task}/stream", params=params, timeout=30) as stream:
                assert stream.status_code == status


def test_a_withdrawn_key_of_the_issuer_ends_what_it_has_signed(api: KeyedApi, issuer: TestIssuer) -> None:
    before = issuer.jwks
    with api.client(issuer.token(scope=ALL)) as old, api.client(issuer.token("rsa-2", sub="ada", scope=ALL)) as new:
        task = old.post("/tasks", json=ECHO).headers["location"]
        with old.stream("GET", f"{task}/stream") as stream:
            assert stream.status_code == 200
            issuer.jwks = {"keys": [jwk("rsa-2")]}
            try:
                with pytest.raises(httpx.TransportError):
                    stream.read()
                assert new.get(task).status_code == 200
                assert old.get(task).status_code == 401
            finally:
                issuer.jwks = before
    with api.client(issuer.token(scope=ALL)) as back:
        until(lambda: back.get(task).status_code == 200)


def test_a_storm_of_invented_keys_asks_the_issuer_no_more_often(
    new_stack: Callable[[str], AbstractContextManager[Stack]],
) -> None:
    with serving() as issuer, new_stack("oidc-storm") as stack:
        env = {"LONGRUN_AUTH": "oidc", "LONGRUN_OIDC_ISSUER": issuer.url, "LONGRUN_OIDC_AUDIENCE": AUDIENCE}
        api = stack.api(env=env)
        good = issuer.token(scope=ALL)
        with httpx.Client(base_url=api.url, timeout=30) as client:

            def get(token: str) -> httpx.Response:
                return client.get("/tasks", headers={"Authorization": f"Bearer {token}"})

            assert get(good).status_code == 200
            begun, fetches = time.monotonic(), issuer.fetches
            for number in range(200):
                token = f"{encoded({'alg': 'RS256', 'kid': f'invented-{number}'})}.{good.partition('.')[2]}"
                assert get(token).status_code == 401
            assert issuer.fetches - fetches <= 1 + (time.monotonic() - begun) / PAUSE_S
            issuer.open.clear()
            answers: list[Any] = []

            def is_unavailable() -> bool:
                answers.append(get(issuer.token("rsa-2")))
                return bool(answers[-1].status_code == 503)

            def wait_for_the_issuer() -> None:
                until(is_unavailable)  # until the issuer may be asked again, its keys are as they were

            waiting = threading.Thread(target=wait_for_the_issuer)
            waiting.start()
            fetches = issuer.fetches
            until(lambda: issuer.fetches > fetches)
            # the issuer hangs, and a request waits for it: no other one does
            assert get(good).status_code == 200
            assert get(issuer.token("ec-1", sub="new", scope=ALL)).status_code == 200
            assert client.get("/readyz").status_code == 200
            assert waiting.is_alive()
            waiting.join()
            problem = answers[-1].json()
            assert problem["type"] == "urn:longrun:problem:issuer-unavailable"
            assert answers[-1].headers["retry-after"] == "5"
            assert get(new_key()).status_code == 401  # keys are not accepted here
