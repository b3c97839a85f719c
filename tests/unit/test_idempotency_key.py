"""`Idempotency-Key` is read as a string of structured fields or bare; a body is the same however it is laid out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from longrun_api.idempotency import LONGEST, MalformedIdempotencyKey, asked, key_text, parse_key

KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=LONGEST)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def request(*values: bytes, method: str = "POST", path: str = "/tasks") -> Request:
    headers = [(b"host", b"here"), *((b"idempotency-key", value) for value in values)]
    return Request({"type": "http", "method": method, "path": path, "headers": headers})


@given(KEYS)
def test_a_quoted_key_is_read_back_whatever_it_contains(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{quoted}"') == key
    assert parse_key(f' "{quoted}";a=1; b="x;y" ') == key


@pytest.mark.parametrize("key", ["8e03978e-40d5-43dd-bc93-6894a57f9324", "KG5LxwFBepaKHyUD", "a/b:c=d;e", "7", "'x'"])
def test_a_bare_key_is_the_same_key_as_the_quoted_one(key: str) -> None:
    assert parse_key(key) == parse_key(f'"{key}"') == key


@pytest.mark.parametrize(
    "value",
    ["", " ", '""', '"', '"a', 'a"', '"a"b"', '"a" b', '"\\x"', "a b", "a,b", '"a","b"', "a\tb", "ü", '"ü"', "\x7f",
     "x" * (LONGEST + 1), f'"{"x" * (LONGEST + 1)}"', '"a";', '"a";=1'],
)  # fmt: skip
def test_a_value_that_is_no_key_is_refused(value: str) -> None:
    with pytest.raises(MalformedIdempotencyKey):
        parse_key(value)


def test_a_key_is_given_once_or_not_at_all() -> None:
    assert key_text(request()) is None
    assert key_text(request(b'"a"')) == "a"
    with pytest.raises(MalformedIdempotencyKey, match="2 times"):
        key_text(request(b'"a"', b'"a"'))


@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms(use_true_random=False))
def test_a_body_is_the_same_in_another_order_and_layout(body: dict[str, Any], dice: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(name, shuffled(item)) for name, item in value.items()]
            dice.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    plain = json.dumps(body).encode()
    other = json.dumps(shuffled(body), indent=3, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert asked(request(), plain) == asked(request(), other)


@given(JSON, JSON)
def test_another_body_method_or_path_is_another_request(one: Any, other: Any) -> None:
    body = json.dumps(one).encode()
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (asked(request(), body) == asked(request(), json.dumps(other).encode())) == same
    assert asked(request(), body) != asked(request(path="/tasks/1/retry"), body)
    assert asked(request(), body) != asked(request(method="PATCH"), body)
