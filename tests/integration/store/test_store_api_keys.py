"""API keys in PostgreSQL: what is stored of them, and what may be done with whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from jobcore.models.api_keys import ApiKey, KeyDigest, NewApiKey, new_key
from jobcore.models.caller import Scope
from jobcore.store import api_keys
from jobcore.store.signing_keys import signing_key
from tests.integration.store.world import World, race


def digest(key: str) -> KeyDigest:
    found = KeyDigest.of(key)
    assert found is not None
    return found


def add(world: World, owner: str | None = None, expires_at: datetime | None = None, *scopes: Scope) -> ApiKey:
    new = NewApiKey(digest(new_key()), "test", owner, frozenset(scopes or {Scope.READ}), expires_at)
    return world.call(api_keys.add, new)


def test_a_stored_key_is_what_was_given_and_not_the_secret(world: World) -> None:
    key, at = new_key(), datetime.now(UTC) + timedelta(days=1)
    added = world.call(api_keys.add, NewApiKey(digest(key), "nightly", "ada", frozenset({Scope.SUBMIT}), at))
    assert (added.id, added.name, added.owner, added.expires_at) == (digest(key).id, "nightly", "ada", at)
    assert added.secret_hash == digest(key).sha256
    assert added.caller.may(Scope.SUBMIT)
    assert not added.caller.may(Scope.READ)
    assert world.call(api_keys.find, added.id) == added


def test_a_scope_of_a_newer_version_is_ignored_and_gives_no_other(world: World) -> None:
    key = add(world)
    with world.db.engine.connect() as connection:
        connection.execute(text("UPDATE api_keys SET scopes = ARRAY['fly', 'read']"))
    [found] = world.call(api_keys.find_many, [key.id])
    assert found.scopes == {Scope.READ}


def test_an_owner_reaches_only_its_own_keys(world: World) -> None:
    mine, other, operators = add(world, "ada"), add(world, "grace"), add(world)
    assert world.call(api_keys.page, "ada", None, 10) == [mine]
    assert world.call(api_keys.page, None, None, 10) == [operators, other, mine]
    new = NewApiKey(digest(new_key()), "", None, frozenset())
    for key in (other, operators):
        assert world.call(api_keys.find, key.id, "ada") is None
        assert world.call(api_keys.revoke, key.id, "ada") is None
        assert world.call(api_keys.rotate, key.id, new, 0, "ada") is None
    assert world.call(api_keys.find_many, [other.id]) == [other]


def test_pages_continue_behind_a_key(world: World) -> None:
    made = [add(world, owner) for owner in ("ada", "grace", "ada", "ada")][::-1]
    for owner in (None, "ada"):
        all_keys = [key for key in made if owner in (None, key.owner)]
        first = world.call(api_keys.page, owner, None, 2)
        assert first + world.call(api_keys.page, owner, first[-1].id, 2) == all_keys


def test_revoking_again_changes_nothing(world: World) -> None:
    key = add(world)
    first = world.call(api_keys.revoke, key.id)
    assert first is not None
    assert first.revoked_at is not None
    assert world.call(api_keys.revoke, key.id) == first


def test_a_rotated_key_ends_after_the_overlap_and_never_later_than_before(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    for old, latest in ((add(world, "ada"), None), (add(world, "ada", soon), soon)):
        new = NewApiKey(digest(new_key()), "", None, frozenset())
        rotated = world.call(api_keys.rotate, old.id, new, 3600, None)
        assert rotated is not None
        assert (rotated.name, rotated.owner, rotated.scopes) == (old.name, old.owner, old.scopes)
        ending = world.call(api_keys.find, old.id)
        assert ending is not None
        assert ending.expires_at is not None
        assert ending.expires_at <= (latest or datetime.now(UTC) + timedelta(hours=1))


def test_keys_that_cannot_be_used_cannot_be_rotated(world: World) -> None:
    revoked, expired = add(world), add(world, None, datetime.now(UTC) - timedelta(seconds=1))
    world.call(api_keys.revoke, revoked.id)
    for key in (revoked, expired):
        assert world.call(api_keys.rotate, key.id, NewApiKey(digest(new_key()), "", None, frozenset()), 0) is None


def test_a_bootstrap_key_replaces_the_one_before_and_an_old_process_does_not_bring_it_back(world: World) -> None:
    first, second = digest(new_key()), digest(new_key())
    other = add(world)
    for given in (first, first, second, first):
        world.call(api_keys.put_bootstrap, given)
    [old] = world.call(api_keys.find_many, [first.id])
    [new] = world.call(api_keys.find_many, [second.id])
    assert old.revoked_at is not None
    assert new.revoked_at is None
    assert new.scopes == {Scope.ADMIN}
    assert world.call(api_keys.find, other.id) == other


def test_processes_that_store_the_bootstrap_key_at_once_store_it_once(world: World) -> None:
    given = digest(new_key())
    assert len(set(race(*[lambda: world.call(api_keys.put_bootstrap, given)] * 4))) == 1


def test_all_processes_sign_with_one_key_for_each_purpose(world: World) -> None:
    values = race(*[lambda: world.call(signing_key, "streams")] * 4)
    assert len(set(values)) == 1
    assert len(values[0]) == 32
    assert world.call(signing_key, "others") != values[0]
