"""The scraper's settings: read from the environment, refused with the name of the variable at fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobcore.settings import read
from longrun_scraper.settings import ScraperSettings


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    read.cache_clear()
    yield
    read.cache_clear()


def test_the_allow_list_is_read_in_one_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_FETCH_ALLOW", "Intranet.Example:443, [::1]:8080 ,127.0.0.1:80,10.1.0.0/16, FD00:0::/32")
    assert read(ScraperSettings).fetch_allow == {
        *("intranet.example:443", "[::1]:8080", "127.0.0.1:80", "10.1.0.0/16", "fd00::/32")
    }


def test_nothing_is_allowed_by_default() -> None:
    assert read(ScraperSettings).fetch_allow == frozenset()


@pytest.mark.parametrize(
    "value", ["localhost", "http://localhost:80", "localhost:0", "localhost:99999", ":80", "*", "10.1.0.1/16"]
)
def test_an_allow_list_that_cannot_be_meant_ends_the_process(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LONGRUN_FETCH_ALLOW", value)
    with pytest.raises(SystemExit, match=r"LONGRUN_FETCH_ALLOW: .*(is not|is neither) host:port"):
        read(ScraperSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LONGRUN_FETCH_TIMEOUT_S", "0"),
        ("LONGRUN_FETCH_MAX_BYTES", "0"),
        ("LONGRUN_FETCH_MAX_REDIRECTS", "-1"),
        ("LONGRUN_SCRAPE_MAX_LINKS", "-1"),
        ("LONGRUN_FETCH_USER_AGENT", "bad\nX-Header: injected"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=variable):
        read(ScraperSettings)
