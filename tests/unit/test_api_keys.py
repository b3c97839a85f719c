"""What a key looks like, which settings let whom in, and that no function of a route goes without a scope."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobcore.models.api_keys import ApiKey, KeyDigest, new_key
from jobcore.models.caller import Scope
from jobcore.settings import read
from longrun_api import app
from longrun_api.auth_modes import AuthMode, refuse_open_none
from longrun_api.settings import ApiSettings


def test_every_changed_character_makes_a_key_malformed() -> None:
    key = new_key()
    digest = KeyDigest.of(key)
    assert digest is not None
    assert digest.id == key.split("_")[1]
    for index, character in enumerate(key):
        other = "x" if character != "x" else "y"
        assert KeyDigest.of(key[:index] + other + key[index + 1 :]) is None
    assert KeyDigest.of(f"{key}\n") is None


def test_two_keys_share_neither_id_nor_secret() -> None:
    keys = [new_key().split("_") for _ in range(100)]
    assert len({key_id for _, key_id, _ in keys}) == len({secret for _, _, secret in keys}) == 100


def test_nothing_that_is_printed_shows_a_hash_or_a_key() -> None:
    key = new_key()
    digest = KeyDigest.of(key)
    assert digest is not None
    assert repr(digest.sha256) not in repr(digest)
    at = datetime.now(UTC)
    stored = ApiKey(digest.id, "x", None, frozenset(Scope), at, None, None, None, digest.sha256)
    assert repr(digest.sha256) not in repr(stored)
    settings = ApiSettings(auth="keys", bootstrap_key=key)
    assert key not in repr(settings)
    assert key not in str(settings.model_dump())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_without_authentication_the_api_listens_on_loopback(host: str) -> None:
    assert not is_refused(AuthMode.NONE, host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com", ""])
def test_without_authentication_it_listens_nowhere_else(host: str) -> None:
    assert is_refused(AuthMode.NONE, host)
    assert not is_refused(AuthMode.KEYS, host)
    assert not is_refused(AuthMode.PROXY, host)


def is_refused(mode: AuthMode, host: str) -> bool:
    """Whether the API does not start, with a line that says what to do."""
    try:
        refuse_open_none(frozenset({mode}), host)
    except SystemExit as refusal:
        return "LONGRUN_AUTH=keys and make the first key with `longrun keys bootstrap`" in str(refusal)
    return False


@pytest.mark.parametrize("value", ["", "none,keys", "proxy,keys", "none,oidc", "oidc,proxy", "OIDC", "Keys"])
def test_modes_that_mean_nothing_are_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(auth=value)


def test_a_bootstrap_key_that_is_none_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_BOOTSTRAP_KEY", "hunter2hunter2")
    with pytest.raises(SystemExit) as raised:
        read.__wrapped__(ApiSettings)
    assert "LONGRUN_BOOTSTRAP_KEY: is no API key: make one with `longrun keys new`" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv("LONGRUN_BOOTSTRAP_KEY", "")
    assert ApiSettings().bootstrap_digest is None


def test_the_api_does_not_start_with_a_route_that_declares_no_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        router = APIRouter()

    @Module.router.get("/forgotten")
    async def forgotten(request: Request) -> Response:
        return Response()

    monkeypatch.setattr(app, "ROUTES", (*app.ROUTES, Module))
    with pytest.raises(KeyError, match="forgotten"):
        app.create_app(ApiSettings())
