"""Who is let in: RFC 6750 and RFC 9110, section 11."""

from __future__ import annotations

import httpx

from tests.conformance.conftest import Keyed, problem


def test_a_request_without_credentials_is_401_with_a_challenge(keyed: Keyed) -> None:
    for refused in (keyed.get("/tasks"), keyed.get("/tasks", "Basic eDp5")):
        assert problem(refused)["status"] == 401
        assert refused.headers["www-authenticate"].startswith("Bearer ")
        assert "error" not in refused.headers["www-authenticate"], "a client that has sent no token needs no error"


def test_a_key_that_is_not_valid_is_an_invalid_token(keyed: Keyed) -> None:
    refused = keyed.get("/tasks", "Bearer unknown")
    assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)


def test_an_authorization_that_is_given_twice_is_an_invalid_request(keyed: Keyed) -> None:
    refused = keyed.get("/tasks", f"Bearer {keyed.key}", f"Bearer {keyed.key}")
    assert (refused.status_code, 'error="invalid_request"' in refused.headers["www-authenticate"]) == (400, True)


def test_a_key_without_the_scope_is_403_and_the_scope_is_named(keyed: Keyed) -> None:
    refused = keyed.get("/tasks", f"Bearer {keyed.make('submit').json()['key']}")
    assert problem(refused)["status"] == 403
    assert refused.headers["www-authenticate"].startswith("Bearer ")
    assert 'error="insufficient_scope", scope="read"' in refused.headers["www-authenticate"]


def test_the_scheme_is_in_any_case(keyed: Keyed) -> None:
    assert [keyed.get("/tasks", f"{scheme} {keyed.key}").status_code for scheme in ("bearer", "BEARER")] == [200, 200]


def test_a_key_in_the_address_lets_nobody_in(keyed: Keyed) -> None:
    assert httpx.get(f"{keyed.url}/tasks", params={"access_token": keyed.key}).status_code == 401


def test_an_answer_with_a_secret_may_not_be_stored(keyed: Keyed) -> None:
    made = keyed.make("read")
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
