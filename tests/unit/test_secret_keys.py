"""The keys that seal inputs: what they open, for whom, and what is said of those that are missing."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from jobcore.sealing.keys import CannotOpen, SecretKeys, new_key
from jobcore.settings import CoreSettings
from jobcore.tasks import task
from jobcore.telemetry.redaction import Redaction

OLD, NEW = new_key(), new_key()


def test_the_first_key_seals_and_each_opens() -> None:
    sealed = SecretKeys([OLD, NEW]).seal('{"pin": 1}', "pay", "ada")
    assert sealed.startswith(SecretKeys([OLD]).first_id)
    assert SecretKeys([NEW, OLD]).open(sealed, "pay", "ada") == '{"pin": 1}'
    resealed = SecretKeys([NEW, OLD]).resealed(sealed)
    assert SecretKeys([NEW]).open(resealed, "pay", "ada") == '{"pin": 1}'


@pytest.mark.parametrize(("task_type", "owner"), [("echo", "ada"), ("pay", "bob"), ("pay", None)])
def test_what_was_sealed_for_one_task_type_and_owner_opens_for_no_other(task_type: str, owner: str | None) -> None:
    keys = SecretKeys([OLD])
    with pytest.raises(CannotOpen, match="moved"):
        keys.open(keys.seal("{}", "pay", "ada"), task_type, owner)


def test_a_missing_key_is_named_and_a_changed_input_is_refused() -> None:
    sealed = SecretKeys([OLD]).seal("{}", "pay", None)
    with pytest.raises(CannotOpen, match=f"sealed with the key {SecretKeys([OLD]).first_id}, .* has here: none"):
        SecretKeys().open(sealed, "pay", None)
    with pytest.raises(CannotOpen, match="was changed"):
        SecretKeys([OLD]).open(sealed[:-5] + "AAAA=", "pay", None)


def test_a_fingerprint_cannot_be_computed_without_a_key_and_outlives_a_rotation() -> None:
    plain = hashlib.sha256(b"request").hexdigest()
    assert SecretKeys().fingerprints(b"request") == (plain,)
    old, new = SecretKeys([OLD]).fingerprints(b"request"), SecretKeys([NEW, OLD]).fingerprints(b"request")
    assert old[0] != plain
    assert {old[0], plain} < set(new)
    assert new[0] not in old


def test_a_wrong_key_is_refused_at_the_start_and_not_quoted() -> None:
    with pytest.raises(ValidationError) as refused:
        CoreSettings(secret_keys="hunter2hunter2")
    assert "longrun secrets new-key" in refused.value.errors()[0]["msg"]
    settings = CoreSettings(secret_keys=f"{OLD}, {NEW}")
    assert settings.secret_keys == (OLD, NEW)
    assert OLD not in repr(settings)


def test_no_key_of_the_list_is_logged() -> None:
    redaction = Redaction({"LONGRUN_SECRET_KEYS": f"{OLD},{NEW}"})
    assert redaction.text(f"sealing with {NEW} failed") == "sealing with *** failed"


class Token(BaseModel):
    """A result with a secret."""

    token: SecretStr


def test_a_task_type_whose_result_has_a_secret_is_refused() -> None:
    def log_in() -> Token:
        return Token(token=SecretStr("never called"))

    with pytest.raises(ValueError, match=r"log_in: its result has a secret, which would be stored as \*{10}"):
        task(log_in)
