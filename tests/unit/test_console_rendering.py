"""How the console shows values: nothing hidden, nothing too long."""

from __future__ import annotations

import pytest

from longrun_api.console import rendering


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("a\x1b[31m\x07", "a\\u001b[31m\\u0007"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("a\u200b\ufeffb", "a\\u200b\\ufeffb"),
        ("\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627"),
    ],
)
def test_a_character_that_hides_or_reorders_is_shown_by_its_code_point(text: str, shown: str) -> None:
    assert rendering.plain(text) == shown


def test_a_large_value_is_cut_and_says_so() -> None:
    shown = rendering.pretty("x" * 1_000_000)
    assert len(shown) < 101_000
    assert shown.endswith("… and 900,002 more characters")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.0123, "12 ms"), (1.25, "1.2 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min"), (200_000, "2 d 7 h")],
)
def test_a_duration_is_in_its_two_largest_units(seconds: float | None, shown: str) -> None:
    assert rendering.duration(seconds) == shown


def test_text_of_strangers_is_escaped_in_every_template() -> None:
    template = rendering.TEMPLATES.from_string("{{ text }}{{ text | plain }}{{ text | short }}{{ [text] | pretty }}")
    assert "<" not in template.render(text="<script>")
