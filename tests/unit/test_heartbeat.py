"""The heartbeat file is young only while the worker is registered and looked after."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from jobcore.supervision.slots import Slots
from jobcore.worker import heartbeat
from jobcore.worker.heartbeat import HeartbeatFile

OLD = 1_000_000.0


@pytest.fixture
def slots() -> Slots:
    return Slots(1, os.getpid())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0)
    return tmp_path / "heartbeat"


def age(path: Path) -> None:
    os.utime(path, (OLD, OLD))


def test_it_appears_once_the_worker_is_registered(slots: Slots, path: Path) -> None:
    file = HeartbeatFile(path, slots)
    slots.supervised()
    file.beat()
    assert not path.exists()
    slots.renew(uuid4(), 0.0)
    file.beat()
    assert path.exists()


def test_it_stays_young_while_a_registered_worker_has_lost_its_lease(slots: Slots, path: Path) -> None:
    file = HeartbeatFile(path, slots)
    slots.supervised()
    slots.renew(uuid4(), 0.0)
    file.beat()
    age(path)
    slots.expire()
    file.beat()
    assert path.stat().st_mtime > OLD


def test_it_grows_old_when_the_supervisor_hangs(slots: Slots, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = HeartbeatFile(path, slots)
    slots.renew(uuid4(), 0.0)
    slots.supervised()
    file.beat()
    age(path)
    monkeypatch.setattr(heartbeat, "HUNG_S", -1)
    file.beat()
    assert path.stat().st_mtime == OLD


def test_a_file_that_an_earlier_worker_left_is_no_sign_of_life(slots: Slots, path: Path) -> None:
    path.touch()
    HeartbeatFile(path, slots)
    assert not path.exists()
