"""Input files: one job each, whoever asks at the same time, and none that is forgotten or lost too early."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.errors import InvalidInput
from jobcore.models import Accepted, NewJobWithFiles
from jobcore.store import input_files, jobs, jobs_with_files
from tests.integration.store.world import World, race

KEEP_S = 3600.0
OWNER = "ada"


def staged(world: World, owner: str | None = None) -> UUID:
    """A file that waits for a submission."""
    file_id: UUID = uuid7()
    world.call(input_files.begin, file_id, owner, "text/plain", KEEP_S)
    assert world.call(input_files.finish, file_id, size=3, sha256="00", keep_s=KEEP_S)
    return file_id


def submit(world: World, owner: str | None = None, **files: UUID) -> Any:
    """What became of a job with these files: it is accepted, or why it is not."""
    job = NewJobWithFiles.of(world.new(), files)
    try:
        return world.call(jobs_with_files.accept, job, None, owner)
    except InvalidInput as error:
        return error


def names(world: World, job_id: UUID) -> list[str]:
    return [file.name for file in world.call(input_files.of_job, job_id)]


def age(world: World, file_id: UUID) -> None:
    """Let the time pass for which a file waits."""
    world.sql("UPDATE input_files SET expires_at = now() - interval '1 s' WHERE id = :id RETURNING 1", id=file_id)


def test_of_two_submissions_at_once_one_gets_the_files_and_the_other_makes_no_job(world: World) -> None:
    for _ in range(10):
        a, b = staged(world), staged(world)
        before = world.sql("SELECT count(*) AS jobs FROM jobs")[0]["jobs"]
        answers = race(partial(submit, world, a=a, b=b), partial(submit, world, a=b, b=a))
        [accepted] = [answer for answer in answers if isinstance(answer, Accepted)]
        assert sum(isinstance(answer, InvalidInput) for answer in answers) == 1
        assert names(world, accepted.id) == ["a", "b"]
        assert world.sql("SELECT count(*) AS jobs FROM jobs")[0]["jobs"] == before + 1


def test_a_file_that_expires_at_the_same_time_goes_to_the_job_or_is_deleted(world: World) -> None:
    for _ in range(10):
        file_id = staged(world)
        world.sql("UPDATE input_files SET expires_at = now() + interval '3 ms' WHERE id = :id RETURNING 1", id=file_id)
        _, answer = race(partial(world.call, input_files.expire), partial(submit, world, a=file_id))
        world.call(input_files.expire)
        is_doomed = file_id in world.call(input_files.doomed, 100)
        assert is_doomed == isinstance(answer, InvalidInput)


def test_what_nobody_names_in_time_is_deleted_and_what_a_job_has_is_not(world: World) -> None:
    left, used, unfinished = staged(world), staged(world), uuid7()
    world.call(input_files.begin, unfinished, None, "text/plain", KEEP_S)
    assert isinstance(submit(world, a=used), Accepted)
    assert world.call(input_files.expire) == 0
    for each in (left, used, unfinished):
        age(world, each)
    assert isinstance(submit(world, a=left), InvalidInput)
    assert world.call(input_files.expire) == 2
    assert world.call(input_files.doomed, 100) == [left], "a last request of an upload could still be under way"
    assert world.call(input_files.finish, unfinished, size=1, sha256="00", keep_s=KEEP_S) is None
    world.call(input_files.forget, [left])
    assert world.call(input_files.doomed, 100) == []


def test_a_file_of_a_deleted_job_is_deleted(world: World) -> None:
    file_id = staged(world)
    accepted = submit(world, a=file_id)
    assert world.call(input_files.doomed, 100) == []
    world.sql("DELETE FROM jobs WHERE id = :id RETURNING 1", id=accepted.id)
    assert world.call(input_files.doomed, 100) == [file_id]


def test_a_file_is_used_and_discarded_by_its_owner_and_by_the_operator(world: World) -> None:
    ours, theirs = staged(world, OWNER), staged(world)
    assert isinstance(submit(world, OWNER, a=theirs), InvalidInput)
    assert isinstance(submit(world, "bob", a=ours), InvalidInput)
    assert world.call(input_files.discard, [ours], "bob") == 0
    assert world.call(input_files.find_staged, ours, "bob") is None
    assert world.call(input_files.free_of, [ours, theirs], OWNER) == {ours}
    assert isinstance(submit(world, OWNER, a=ours), Accepted)
    assert isinstance(submit(world, None, a=staged(world, OWNER)), Accepted)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_job_shows_its_files_by_name(world: World, name: str) -> None:
    accepted = submit(world, a=staged(world), b=staged(world))
    found = world.call(input_files.find, accepted.id, name)
    assert found is not None
    assert found.name == name
    job = world.call(jobs.get, accepted.id)
    assert job is not None
    assert job.input_files is not None
    assert f'"name" : "{name}"' in job.input_files
