"""What a client gets for its Prefer headers (RFC 7240, section 2): known preferences count, and nothing is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun_api.preferences import Preferences, preferences

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12)
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
QUOTED = TEXT.map(lambda text: '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\"")))
WORDS = st.one_of(NAMES, QUOTED, st.just(""))
SPACES = st.text(" \t", max_size=2)
ANYTHING = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n"), max_size=80)


@st.composite
def pairs(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> str:
    """A name, with or without a value."""
    name = draw(names)
    return name + draw(SPACES) + "=" + draw(SPACES) + draw(WORDS) if draw(st.booleans()) else name


@st.composite
def others(draw: st.DrawFn) -> str:
    """A well-formed preference that Longrun does not know, with parameters, some of which look like known ones."""
    parameters = draw(st.lists(st.one_of(pairs(), st.sampled_from(["wait=9", "respond-async", ""])), max_size=3))
    return ";".join(["x-" + draw(pairs()), *(draw(SPACES) + parameter for parameter in parameters)])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Preferences()),
        (["wait=10"], Preferences(wait_s=10)),
        (["respond-async, wait=10"], Preferences(wait_s=10, respond_async=True)),
        (["respond-async", "wait=10"], Preferences(wait_s=10, respond_async=True)),
        (["WAIT = 10;x=y; z , Respond-Async"], Preferences(wait_s=10, respond_async=True)),
        (['wait="10"'], Preferences(wait_s=10)),
        ([r'wait="1\0"'], Preferences(wait_s=10)),
        ([",, ,wait=0,"], Preferences(wait_s=0)),
        # an empty value is no value
        (['respond-async=""'], Preferences(respond_async=True)),
        (["respond-async="], Preferences(respond_async=True)),
        # of several, the first counts, and that even if it says nothing
        (["wait=1, wait=2", "wait=3"], Preferences(wait_s=1)),
        (["wait=soon, wait=2"], Preferences()),
        # what is not understood is as if it were not there
        (["wait", "respond-async=yes"], Preferences()),
        (["wait=-1"], Preferences()),
        (["wait=1.5"], Preferences()),
        (["wait=１"], Preferences()),
        (["wait=99999999999999999999"], Preferences()),
        (['foo; bar="wait=5, wait=6", respond-async'], Preferences(respond_async=True)),
        (['foo="a\\", wait=5", wait=6'], Preferences(wait_s=6)),
        (["return=minimal; wait=5"], Preferences()),
        (["(nonsense), wait=7"], Preferences(wait_s=7)),
        (['"wait=8'], Preferences()),
        (["wait 8"], Preferences()),
    ],
)
def test_the_preferences_of_a_request_are_found(values: list[str], found: Preferences) -> None:
    assert preferences(values) == found


@given(st.lists(others(), max_size=3), st.lists(others(), max_size=3), SPACES, st.integers(0, 10**9), st.booleans())
def test_a_preference_is_found_among_any_others(
    before: list[str], after: list[str], space: str, seconds: int, in_lines: bool
) -> None:
    elements = [*before, f"{space}wait{space}={space}{seconds}{space}", *after]
    assert preferences(elements if in_lines else [",".join(elements)]) == Preferences(wait_s=seconds)


@given(st.lists(ANYTHING, max_size=3))
def test_no_header_is_an_error(values: list[str]) -> None:
    found = preferences(values)
    assert found.wait_s is None or found.wait_s >= 0


@pytest.mark.parametrize(
    "text", ['"' * 30_000, "a;" * 15_000, "a;\t" * 10_000, "a=" * 15_000, '"\\' * 15_000, "\t" * 30_000]
)
def test_a_header_as_long_as_a_request_may_have_is_read_in_linear_time(text: str) -> None:
    assert preferences([text, "respond-async" if '"' not in text else '", respond-async']) in (
        Preferences(),
        Preferences(respond_async=True),
    )
