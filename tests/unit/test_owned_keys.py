"""Keys of owners: what is stored is one to one with owner and key, and no key of one owner is another's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobcore.models import owned_keys
from jobcore.models.caller import Caller

owners = st.none() | st.text(min_size=1, max_size=200).filter(owned_keys.is_owner)
keys = st.text(st.characters(exclude_characters=owned_keys.SEPARATOR), min_size=1, max_size=200)


@given(owners, keys)
def test_an_owner_and_a_key_come_back_from_what_is_stored(owner: str | None, key: str) -> None:
    stored = owned_keys.stored(owner, key)
    assert (owned_keys.owner_of(stored), owned_keys.name(stored), owned_keys.shown(stored)) == (owner, key, key)


@given(owners, keys, owners, keys)
def test_two_owners_never_share_what_is_stored(owner: str | None, key: str, other: str | None, second: str) -> None:
    same = owned_keys.stored(owner, key) == owned_keys.stored(other, second)
    assert same == ((owner, key) == (other, second))


@given(owners.filter(bool), keys)
def test_the_turn_of_an_owner_is_no_key_that_anybody_gives(owner: str, key: str) -> None:
    turn = owned_keys.turn(owner)
    assert owned_keys.shown(turn) is None
    assert owned_keys.owner_of(turn) == owner
    assert turn not in (owned_keys.stored(owner, key), key)


@pytest.mark.parametrize("name", ["", "a\x1f", "\n", "a\0", "a\x7f", "x" * 201, "\ud800"])
def test_a_caller_has_no_owner_that_could_be_taken_for_a_key(name: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        Caller(name, frozenset(), "test")
