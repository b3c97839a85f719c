"""What is fetched from an OpenID provider, and how little harm it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from jwt import PyJWK
from jwt.algorithms import RSAAlgorithm

from longrun_api.auth import issuer as issuer_module
from longrun_api.auth.issuer import MAX_BYTES, Issuer, IssuerFailed, IssuerKey, parsed
from longrun_api.auth.issuer_keys import IssuerKeys, IssuerUnavailable
from tests.issuer import TestIssuer, ec_key, jwk, rsa_key, serving

ALGORITHMS = frozenset({"RS256", "ES256"})


@pytest.fixture
def provider() -> Iterator[TestIssuer]:
    with serving() as provider:
        yield provider


def fetched(provider: TestIssuer, jwks_url: str | None = None) -> tuple[IssuerKey, ...]:
    async def fetch() -> tuple[IssuerKey, ...]:
        issuer = Issuer(provider.url, jwks_url, ALGORITHMS)
        try:
            return await issuer.keys()
        finally:
            await issuer.close()

    return asyncio.run(fetch())


def test_keys_are_found_by_discovery_and_by_a_setting(provider: TestIssuer) -> None:
    assert [key.kid for key in fetched(provider)] == ["rsa-1", "ec-1"]
    provider.description = {"issuer": "https://example.com"}
    assert [key.kid for key in fetched(provider, f"{provider.url}/jwks")] == ["rsa-1", "ec-1"]


@pytest.mark.parametrize(
    ("jwks", "reason"),
    [
        (b"[" * 100_000, "has no JSON object"),
        (b"<html>", "has no JSON object"),
        (b"[]", "has no JSON object"),
        (b" " * 10_000_000, f"has more than {MAX_BYTES} bytes"),
        ({}, "publishes no key"),
        ({"keys": {"rsa-1": jwk("rsa-1")}}, "publishes no key"),
        ({"keys": [None, 1, [], "x", {}, {"kty": []}, {"kty": "RSA", "n": 1, "e": None}]}, "publishes no key"),
    ],
)
def test_keys_that_cannot_be_read_are_an_error_with_a_reason(provider: TestIssuer, jwks: Any, reason: str) -> None:
    provider.jwks = jwks
    with pytest.raises(IssuerFailed, match=reason):
        fetched(provider)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_no_other_answer_than_200_is_read_and_no_redirect_is_followed(provider: TestIssuer, status: int) -> None:
    provider.status = status
    with pytest.raises(IssuerFailed, match=f"answers {status}"):
        fetched(provider)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({"issuer": "https://example.com"}, "calls itself"),
        ({"jwks_uri": "http://example.com/jwks"}, "must be an https URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "must be an https URL"),
        ({"jwks_uri": None}, "must be an https URL"),
        ({"jwks_uri": "https://[/"}, "Invalid IPv6"),
    ],
)
def test_a_description_that_leads_elsewhere_is_refused(
    provider: TestIssuer, description: dict[str, Any], reason: str
) -> None:
    provider.description = description
    with pytest.raises(IssuerFailed, match=reason):
        fetched(provider)


def test_a_provider_that_hangs_is_given_up_at_the_deadline(
    provider: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_module, "FETCH_S", 0.2)
    provider.open.clear()
    with pytest.raises(IssuerFailed):
        fetched(provider)


def test_only_public_keys_for_signatures_are_used() -> None:
    assert parsed(jwk("rsa-1", use="sig", key_ops=["verify"])) is not None
    assert parsed({"kty": "oct", "k": "AAAA", "kid": "x"}) is None
    assert parsed(jwk("rsa-1", use="enc")) is None
    assert parsed(jwk("rsa-1", key_ops=["encrypt"])) is None
    assert parsed(jwk("rsa-1", alg="HS256")) is None
    assert parsed(jwk("ec-1", crv="P-384")) is None
    assert parsed(jwk("ec-1", crv="secp256k1")) is None
    private = parsed(jwk("rsa-1", d="AAAA"))
    assert private is not None
    assert private.public.public_numbers() == rsa_key("rsa-1").public_key().public_numbers()


def test_short_rsa_keys_are_not_used() -> None:
    short = RSAAlgorithm.to_jwk(rsa_key("short", 1024).public_key(), as_dict=True)
    assert PyJWK(short).key.key_size == 1024  # so it is the size that is refused
    assert parsed(short) is None


def test_a_key_allows_the_signatures_that_fit_it() -> None:
    def algorithms(**members: Any) -> frozenset[str]:
        found = parsed(jwk("rsa-1", **members))
        assert found is not None
        return found.algorithms

    assert algorithms(alg="PS256") == {"PS256"}
    assert "ES256" not in algorithms()
    found = parsed(jwk("ec-1"))
    assert found is not None
    assert found.algorithms == {"ES256"}
    assert found.public.public_numbers() == ec_key("ec-1").public_key().public_numbers()


def key(kid: str) -> IssuerKey:
    found = parsed(jwk(kid))
    assert found is not None
    return found


class Source:
    """A provider in the same process: what it publishes, or an error; how often it was asked."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.error: Exception | None = None
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.told: list[frozenset[str]] = []

    async def fetch(self) -> list[IssuerKey]:
        self.asked += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return [key(kid) for kid in self.kids]

    def keys(self, **times: float) -> IssuerKeys:
        return IssuerKeys(self.fetch, self.told.append, **{"refresh_s": 3600, "stale_s": 3600, **times})


def test_invented_names_cost_one_fetch_and_known_keys_none() -> None:
    async def story() -> None:
        source = Source("rsa-1", "ec-1")
        keys = source.keys()
        assert await keys.find("rsa-1") == key("rsa-1")
        assert await keys.find(key("ec-1").thumbprint) == key("ec-1")
        for number in range(100):
            assert await keys.find(f"invented-{number}") is None
        assert await keys.find(None) is None
        assert source.asked == 1

    asyncio.run(story())


def test_a_new_key_is_found_and_many_who_ask_share_one_fetch() -> None:
    async def story() -> None:
        source = Source("rsa-1")
        keys = source.keys(pause_s=0)
        assert await keys.find(None) == key("rsa-1")
        source.kids = ("ec-1",)
        source.open.clear()
        waiting = [asyncio.create_task(keys.find("ec-1")) for _ in range(50)]
        await asyncio.sleep(0)
        assert await keys.find("rsa-1") == key("rsa-1")  # which waits for nobody
        source.open.set()
        assert await asyncio.gather(*waiting) == [key("ec-1")] * 50
        assert source.asked == 2
        assert source.told == [{key("rsa-1").thumbprint}, {key("ec-1").thumbprint}]
        assert await keys.find("rsa-1") is None

    asyncio.run(story())


@pytest.mark.parametrize("error", [IssuerFailed("away"), ZeroDivisionError()])
def test_known_keys_outlast_an_outage_and_nobody_says_that_unknown_ones_are_wrong(error: Exception) -> None:
    async def story() -> None:
        source = Source("rsa-1")
        source.error = error
        keys = source.keys(pause_s=0)
        with pytest.raises(IssuerUnavailable):
            await keys.find("rsa-1")
        source.error = None
        assert await keys.find("rsa-1") == key("rsa-1")
        source.error = error
        with pytest.raises(IssuerUnavailable):
            await keys.find("ec-1")
        assert await keys.find("rsa-1") == key("rsa-1")

    asyncio.run(story())


def test_keys_are_fetched_again_and_not_used_when_the_provider_is_away_for_too_long() -> None:
    async def story() -> None:
        source = Source("rsa-1")
        told = asyncio.Event()
        keys = IssuerKeys(
            source.fetch,
            lambda prints: told.set() if not prints else source.told.append(prints),
            refresh_s=0.01,
            stale_s=0.05,
            pause_s=0.01,
        )
        await keys.start()
        try:
            while source.asked < 3:
                await asyncio.sleep(0)
            assert await keys.find("rsa-1") == key("rsa-1")
            source.error = IssuerFailed("away")
            await told.wait()
            with pytest.raises(IssuerUnavailable):
                await keys.find("rsa-1")
        finally:
            await keys.close()

    asyncio.run(story())
