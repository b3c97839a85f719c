"""Which settings of OIDC are refused, and what claims mean under them."""

from __future__ import annotations

from typing import Any

import pytest

from jobcore.models.caller import Caller, Scope
from jobcore.settings import read
from longrun_api.auth.claims import ClaimRules, UnusableClaims
from longrun_api.openapi_security import schemes
from longrun_api.settings import ApiSettings

GIVEN = {"AUTH": "oidc", "OIDC_ISSUER": "https://id.example.com/", "OIDC_AUDIENCE": "longrun"}


def settings(monkeypatch: pytest.MonkeyPatch, **env: str) -> ApiSettings:
    for name, value in {**GIVEN, **env}.items():
        monkeypatch.setenv(f"LONGRUN_{name}", value)
    found: ApiSettings = read.__wrapped__(ApiSettings)
    return found


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"OIDC_AUDIENCE": ""}, "LONGRUN_AUTH=oidc needs LONGRUN_OIDC_ISSUER and LONGRUN_OIDC_AUDIENCE"),
        ({"OIDC_ISSUER": "http://id.example.com"}, "LONGRUN_OIDC_ISSUER: must be an https URL"),
        ({"OIDC_ISSUER": "https://"}, "LONGRUN_OIDC_ISSUER: must be an https URL"),
        ({"OIDC_ISSUER": "https://me:secret@id.example.com"}, "LONGRUN_OIDC_ISSUER: must be an https URL"),
        ({"OIDC_JWKS_URL": "http://id.example.com/jwks"}, "LONGRUN_OIDC_JWKS_URL: must be an https URL"),
        ({"OIDC_ALGORITHMS": "none"}, "LONGRUN_OIDC_ALGORITHMS"),
        ({"OIDC_ALGORITHMS": "RS256,HS256"}, "LONGRUN_OIDC_ALGORITHMS"),
        ({"OIDC_ALGORITHMS": ""}, "LONGRUN_OIDC_ALGORITHMS"),
        (
            {"OIDC_SCOPES": "staff=everything"},
            "staff=everything: 'everything' is not a valid Scope",
        ),
        ({"OIDC_SCOPES": "staff"}, "LONGRUN_OIDC_SCOPES"),
        ({"OIDC_DEFAULT_SCOPES": "all"}, "LONGRUN_OIDC_DEFAULT_SCOPES"),
        ({"OIDC_LEEWAY_S": "301"}, "LONGRUN_OIDC_LEEWAY_S"),
        ({"OIDC_CLIENT_ID": "x"}, "LONGRUN_OIDC_CLIENT_ID needs LONGRUN_PUBLIC_URL"),
        ({"OIDC_CLIENT_SCOPES": "profile"}, "LONGRUN_OIDC_CLIENT_SCOPES must have openid"),
        ({"PUBLIC_URL": "http://longrun.example.com"}, "LONGRUN_PUBLIC_URL: must be an https URL"),
        ({"OIDC_STALE_S": "60"}, "LONGRUN_OIDC_STALE_S must be at least LONGRUN_OIDC_REFRESH_S"),
    ],
)
def test_settings_that_are_incomplete_or_unsafe_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], reason: str
) -> None:
    assert settings(monkeypatch).oidc_audience == ("longrun",)
    with pytest.raises(SystemExit) as raised:
        settings(monkeypatch, **env)
    _, line, *_ = str(raised.value).splitlines()
    assert reason in line
    assert "secret" not in line


def test_without_an_issuer_oidc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_AUTH", "keys,oidc")
    with pytest.raises(SystemExit, match="needs LONGRUN_OIDC_ISSUER"):
        read.__wrapped__(ApiSettings)


def test_the_openapi_document_names_the_ways_in_that_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    both = schemes(settings(monkeypatch, AUTH="keys,oidc"))
    assert set(both) == {"bearer", "oidc"}
    assert both["oidc"]["openIdConnectUrl"] == "https://id.example.com/.well-known/openid-configuration"
    assert set(schemes(settings(monkeypatch))) == {"oidc"}
    assert set(schemes(settings(monkeypatch, AUTH="keys"))) == {"bearer"}


READ, SUBMIT = Scope.READ, Scope.SUBMIT
MAPPED = {
    "OIDC_OWNER_CLAIM": "org.id",
    "OIDC_SCOPES_CLAIM": "realm_access.roles",
    "OIDC_SCOPES": "staff=read+submit, auditors=read",
    "OIDC_DEFAULT_SCOPES": "cancel",
    "OIDC_OPERATORS": "admins, root",
}


@pytest.mark.parametrize(
    ("env", "claims", "owner", "scopes"),
    [
        ({}, {}, "ada", set()),
        ({}, {"scope": "openid longrun:read longrun:submit longrun: read"}, "ada", {READ, SUBMIT}),
        ({}, {"scope": ["longrun:read", 1, None, {}]}, "ada", {READ}),
        ({}, {"scope": {"longrun:read": True}}, "ada", set()),
        ({"OIDC_OWNER_CLAIM": "https://x/org"}, {"https://x/org": "acme"}, "acme", set()),
        (MAPPED, {"org": {"id": "acme"}, "realm_access": {"roles": ["staff"]}}, "acme", {READ, SUBMIT, Scope.CANCEL}),
        (MAPPED, {"org.id": "acme", "org": {"id": "x"}}, "acme", {Scope.CANCEL}),
        (MAPPED, {"realm_access": {"roles": ["root", "auditors"]}}, None, {READ, Scope.CANCEL}),
    ],
)
def test_claims_say_who_the_caller_is(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], claims: dict[str, Any], owner: str | None, scopes: set[Scope]
) -> None:
    rules = ClaimRules.of(settings(monkeypatch, **env))
    assert rules.caller({"sub": "ada", **claims}) == Caller(owner, frozenset(scopes), "ada")


@pytest.mark.parametrize("org", [None, {}, {"id": None}, {"id": ""}, {"id": 7}, {"id": "a\x1fb"}, {"id": "a" * 201}])
def test_a_caller_without_a_usable_owner_is_nobody_and_never_the_operator(
    monkeypatch: pytest.MonkeyPatch, org: object
) -> None:
    rules = ClaimRules.of(settings(monkeypatch, **MAPPED))
    with pytest.raises(UnusableClaims, match=r"org\.id"):
        rules.caller({"sub": "ada", "org": org, "realm_access": {"roles": ["staff"]}})
