"""Signing in to the console at an OpenID provider: a real one over HTTP, which can misbehave."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from jobcore.models.api_keys import new_key
from longrun_api.auth.attempts import ATTEMPT_COOKIE
from longrun_api.auth.sessions import COOKIE
from longrun_local.ports import free_port
from tests.chromium import PROGRAM, chromium, complaints
from tests.issuer import AUDIENCE, CLIENT, CLIENT_SECRET, TestIssuer, serving
from tests.processes import Stack
from tests.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)

SESSION_S = 1800


@pytest.fixture(scope="module")
def provider() -> Iterator[TestIssuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def url(new_stack: Callable[[str], AbstractContextManager[Stack]], provider: TestIssuer) -> Iterator[str]:
    """Where an API listens whose people sign in at the provider."""
    port = free_port()
    public = f"http://127.0.0.1:{port}"
    env = {
        "LONGRUN_AUTH": "keys,oidc",
        "LONGRUN_BOOTSTRAP_KEY": new_key(),
        "LONGRUN_OIDC_ISSUER": provider.url,
        "LONGRUN_OIDC_AUDIENCE": AUDIENCE,
        "LONGRUN_OIDC_CLIENT_ID": CLIENT,
        "LONGRUN_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "LONGRUN_OIDC_SESSION_S": str(SESSION_S),
        "LONGRUN_PUBLIC_URL": public,
    }
    provider.redirect_url = f"{public}/console/sign-in/callback"
    with new_stack("provider") as stack:
        yield stack.api(port=port, env=env).url


@pytest.fixture
def browser(url: str, provider: TestIssuer) -> Iterator[httpx.Client]:
    """A client that keeps cookies; the provider behaves again."""
    provider.access, provider.identity = {}, {}
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


def back(browser: httpx.Client, wanted: str = "/console/jobs", answer: str = "Yes") -> str:
    """Where the provider leads the browser back to, once the person has answered."""
    led = browser.get("/console/sign-in/provider", params={"next": wanted})
    assert led.status_code == httpx.codes.SEE_OTHER, led.text
    page = httpx.get(led.headers["location"]).text
    found = re.search(f'href="([^"]*)">{answer}<', page)
    assert found is not None, page
    return found[1].replace("&amp;", "&")


def refused(browser: httpx.Client, address: str) -> str:
    """What the page says that begins no session."""
    page = browser.get(address)
    assert (page.status_code, COOKIE in browser.cookies) == (401, False), page.text
    shown = re.search('id="wrong" role="alert">([^<]*)<', page.text)
    assert shown is not None, page.text
    return shown[1]


@pytest.mark.skipif(PROGRAM is None, reason="needs Chromium (apt-get install chromium)")
def test_a_person_signs_in_at_the_provider_and_sees_what_is_its_own(url: str, provider: TestIssuer) -> None:
    with chromium() as started:
        context = started.new_context(base_url=url)
        context.set_default_timeout(PATIENCE_S * 1000)
        opened = context.new_page()
        said = complaints(opened, url, provider.url)
        opened.goto("/console/jobs?status=FAILED")
        opened.get_by_role("link", name="Sign in at 127.0.0.1").click()
        opened.get_by_role("link", name="No").click()
        expect(opened.get_by_role("alert")).to_have_text("The provider says: access_denied: <b>No.</b>")
        opened.get_by_role("link", name="Sign in at 127.0.0.1").click()
        opened.get_by_role("link", name="Yes").click()
        expect(opened).to_have_url(f"{url}/console/jobs?status=FAILED")
        expect(opened.get_by_text("ada", exact=True)).to_be_visible()
        assert [cookie["name"] for cookie in context.cookies()] == [COOKIE]
        opened.get_by_role("button", name="Sign out").click()
        expect(opened.get_by_role("heading", name="Sign in")).to_be_visible()
        context.close()
    assert not said


def test_a_session_has_the_rights_of_the_token_that_is_for_this_api_and_a_time_of_its_own(
    browser: httpx.Client, provider: TestIssuer
) -> None:
    provider.access = {"exp": int(time.time()) + 60}
    assert browser.get(back(browser)).headers["location"] == "/console/jobs"
    said = browser.cookies[COOKIE].partition(".")[0]
    _, _, (_, _, [owner, scopes, name, until, _]) = json.loads(base64.urlsafe_b64decode(said + "=="))
    assert (owner, scopes, name) == ("ada", ["cancel", "read", "submit"], "ada")
    assert until - time.time() > SESSION_S - 600
    provider.access, provider.identity = None, {"aud": [AUDIENCE, CLIENT], "scope": "longrun:read"}
    browser.cookies.clear()
    assert browser.get(back(browser)).headers["location"] == "/console/jobs"
    assert browser.get("/console").status_code == 200
    assert browser.get("/console/keys").status_code == httpx.codes.FORBIDDEN


def test_only_the_browser_that_began_can_come_back_and_only_once(browser: httpx.Client, url: str) -> None:
    first = back(browser)
    with httpx.Client(base_url=url, timeout=30) as other:
        assert "another window" in refused(other, first)
        back(other)
        assert "another window" in refused(other, first)
        message = f"{url}/console/sign-in/callback?error=x&error_description=call+this+number"
        assert "call" not in refused(other, message)
    assert "another window" in refused(browser, f"{first}&iss=https://example.com")
    kept = {"Cookie": f"{ATTEMPT_COOKIE}={browser.cookies[ATTEMPT_COOKIE]}"}
    assert browser.get(first).headers["location"] == "/console/jobs"
    assert ATTEMPT_COOKIE not in browser.cookies
    again = httpx.get(first, headers=kept)
    assert (again.status_code, "invalid_grant: the code is unknown" in again.text) == (503, True)


@pytest.mark.parametrize(
    ("access", "identity"),
    [
        ({}, {"nonce": "another"}),
        ({}, {"nonce": None}),
        ({}, {"aud": "another"}),
        ({}, {"aud": [CLIENT, "another"], "azp": "another"}),
        ({}, {"iss": "https://example.com"}),
        ({}, {"exp": 1}),
        ({}, {"algorithm": "PS256"}),
        ({"sub": "grace"}, {}),
        ({"aud": "another"}, {}),
        (None, {}),
    ],
)
def test_tokens_of_another_attempt_client_or_person_begin_no_session(
    browser: httpx.Client, provider: TestIssuer, access: dict[str, Any] | None, identity: dict[str, Any]
) -> None:
    provider.access, provider.identity = access, identity
    assert refused(browser, back(browser)).startswith("The provider knows you, but gave no token for this API.")


def test_signing_in_leads_to_no_other_site(browser: httpx.Client) -> None:
    assert browser.get(back(browser, "https://evil.test/")).headers["location"] == "/console"


def test_a_provider_that_does_not_answer_is_said_plainly(browser: httpx.Client, provider: TestIssuer) -> None:
    address = back(browser)
    provider.codes.clear()
    page = browser.get(address)
    assert (page.status_code, COOKIE in browser.cookies) == (503, False)
    assert "The provider cannot be asked now: invalid_grant" in page.text
