"""The rows of files: added and shown only for a run that has its claim, replaced as one, and never forgotten."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.models import Claim, JobFile, NewFile
from jobcore.states import Status
from jobcore.store import files, jobs
from tests.integration.store.world import LOST, World, race

LAST = UUID(int=2**128 - 1)
SHA256 = "0" * 64


def new(name: str = "report.pdf") -> NewFile:
    return NewFile(uuid7(), name, "application/pdf")


def begin(world: World, claim: Claim, file: NewFile, max_files: int = 100) -> files.Begun:
    return world.call(files.begin, claim.id, claim.fence, file, max_files)


def finish(world: World, claim: Claim, file: NewFile, size: int = 5) -> JobFile | None:
    return world.call(files.finish, claim.id, claim.fence, file, size=size, sha256=SHA256)


def stored(world: World, claim: Claim, name: str = "report.pdf", size: int = 5) -> NewFile:
    file = new(name)
    assert begin(world, claim, file) == files.Begun(claimed=True, added=True)
    assert finish(world, claim, file, size) is not None
    return file


def test_a_file_is_shown_once_it_is_stored_and_can_be_finished_again(world: World) -> None:
    claim = world.running()
    file = new()
    for _ in range(2):  # the reply of the first was lost
        assert begin(world, claim, file) == files.Begun(claimed=True, added=True)
        assert world.call(files.of_job, claim.id) == []
    first, again = finish(world, claim, file), finish(world, claim, file)
    assert first == again == world.call(files.find, claim.id, "report.pdf")
    assert world.call(files.of_job, claim.id) == [first]
    job = world.call(jobs.get, claim.id)
    assert job is not None
    assert '"name" : "report.pdf", "size" : 5' in str(job.files)
    assert world.call(files.doomed, 10) == []


def test_a_file_of_the_same_name_takes_its_place_and_the_one_before_is_deleted(world: World) -> None:
    claim = world.running()
    first, other = stored(world, claim), stored(world, claim, "other")
    world.finish(claim, Status.PENDING, retry_s=0.0)
    [again] = world.take(world.worker())
    second = stored(world, again, size=7)
    assert [(file.id, file.size) for file in world.call(files.of_job, claim.id)] == [(other.id, 5), (second.id, 7)]
    assert world.call(files.doomed, 10) == [first.id]
    world.call(files.forget, [first.id])
    assert world.call(files.doomed, 10) == []


@pytest.mark.parametrize("end", LOST)
def test_a_run_that_lost_its_claim_adds_and_shows_no_file(world: World, end: str) -> None:
    claim = world.running()
    kept, begun = stored(world, claim), new()
    begin(world, claim, begun)
    world.lose(claim, end)
    assert begin(world, claim, new("late")) == files.Begun(claimed=False, added=False)
    assert finish(world, claim, begun) is None
    assert [file.id for file in world.call(files.of_job, claim.id)] == [kept.id]
    assert world.call(files.abandon) == 1
    assert world.call(files.doomed, 10) == [], "its last request may still be under way"
    world.sql(
        "UPDATE job_files SET delete_at = delete_at - interval '16 minutes' WHERE id = :id RETURNING 1", id=begun.id
    )
    assert world.call(files.doomed, 10) == [begun.id]


def test_a_file_against_a_cancel_is_shown_if_and_only_if_its_run_is_told_so(world: World) -> None:
    for _ in range(40):
        claim = world.running()
        file = new()
        begin(world, claim, file)
        done, _ = race(partial(finish, world, claim, file), partial(world.cancel, claim.id))
        assert (world.call(files.find, claim.id, file.name) is not None) is (done is not None)


def test_two_writers_of_one_name_leave_one_file(world: World) -> None:
    for _ in range(20):
        claim = world.running()
        both = [new(), new()]
        for file in both:
            begin(world, claim, file)
        race(*(partial(finish, world, claim, file) for file in both))
        [left] = world.call(files.of_job, claim.id)
        assert {left.id, *world.call(files.doomed, 10)} == {file.id for file in both}
        world.call(files.forget, [file.id for file in both])
        world.finish(claim)


def test_unfinished_files_of_a_run_that_goes_on_are_kept(world: World) -> None:
    claim = world.running()
    begin(world, claim, new())
    assert world.call(files.abandon) == 0


def test_a_job_has_no_more_files_than_it_may(world: World) -> None:
    claim = world.running()
    stored(world, claim, "1")
    begin(world, claim, new("2"))
    assert begin(world, claim, new("3"), 2) == files.Begun(claimed=True, added=False)
    assert begin(world, claim, new("1"), 2).added, "it takes the place of another"


def test_a_file_that_failed_is_deleted_and_frees_its_place(world: World) -> None:
    claim = world.running()
    file = new()
    begin(world, claim, file, 1)
    world.call(files.discard, file.id)
    assert world.call(files.doomed, 10) == [file.id]
    assert finish(world, claim, file) is None
    assert begin(world, claim, new("other"), 1).added


def test_files_survive_a_manual_retry_and_are_deleted_with_their_job(world: World) -> None:
    claim = world.running()
    file, begun = stored(world, claim), new("begun")
    begin(world, claim, begun)
    world.finish(claim, Status.FAILED)
    world.retry(claim.id)
    assert [each.id for each in world.call(files.of_job, claim.id)] == [file.id]
    world.cancel(claim.id)
    world.edit(claim.id, "finished_at = now() - interval '2 hours'")
    assert world.retire(LAST, 3600.0) == 1
    assert world.call(files.of_job, claim.id) == []
    assert world.call(files.doomed, 10) == [file.id]
    assert world.call(files.abandon) == 1, "the one that was begun waits a while"
    world.call(files.forget, [file.id])
    assert [row["id"] for row in world.sql("SELECT id FROM job_files")] == [begun.id]
