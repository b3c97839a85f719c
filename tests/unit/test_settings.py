"""Settings: what cannot be used ends the process with a line that names the variable and says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobcore.settings import CoreSettings, WorkerSettings, read


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    read.cache_clear()
    yield
    read.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("DATABASE_URL", "mysql://db/longrun", "postgresql://user:password@host:5432/name"),
        ("DATABASE_URL", "", "postgresql://user:password@host:5432/name"),
        ("LONGRUN_DATABASE_URL", "mysql://db/longrun", "postgresql://user:password@host:5432/name"),
        ("REDIS_URL", "http://host", "redis://host:6379/0"),
        ("LONGRUN_REDIS_URL", "http://host", "redis://host:6379/0"),
        ("LONGRUN_HEARTBEAT_S", "0", "greater than 0"),
        ("LONGRUN_LEASE_S", "soon", "number"),
        ("LONGRUN_KEEPER_S", "-1", "greater than 0"),
        ("LONGRUN_LOG_FORMAT", "xml", "json"),
        ("LONGRUN_LOG_LEVEL", "loud", "debug"),
        ("LONGRUN_MAX_CRASHES", "0", "greater than or equal to 1"),
        ("LONGRUN_MAX_LOSSES", "1.5", "integer"),
        ("LONGRUN_RETENTION_DAYS", "-1", "greater than or equal to 0"),
        ("LONGRUN_WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
        ("LONGRUN_WORKER_CONCURRENCY", "257", "less than or equal to 256"),
        ("LONGRUN_DRAIN_S", "x", "number"),
    ],
)
def test_a_bad_value_is_told_with_its_variable_and_what_would_do(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        read(WorkerSettings)
    first, *lines = str(ended.value).split("\n")
    assert first == "longrun: settings that cannot be used:"
    [line] = lines
    name, _, message = line.strip().partition(": ")
    assert variable in {name, f"LONGRUN_{name}"}
    assert advice in message


def test_every_bad_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_LEASE_S", "x")
    monkeypatch.setenv("LONGRUN_KEEPER_S", "y")
    with pytest.raises(SystemExit) as ended:
        read(CoreSettings)
    assert [line.strip().partition(":")[0] for line in str(ended.value).split("\n")[1:]] == [
        "LONGRUN_LEASE_S",
        "LONGRUN_KEEPER_S",
    ]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_the_customary_spellings_of_a_database_url_are_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@db:5432/name")
    assert read(CoreSettings).database_url == "postgresql://u:p@db:5432/name"


def test_queues_are_given_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_QUEUES", " default, scrape,,")
    assert read(WorkerSettings).queues == ("default", "scrape")


def test_without_any_variable_the_defaults_hold() -> None:
    settings = read(WorkerSettings)
    assert settings.database_url == "postgresql://longrun:longrun@127.0.0.1:5432/longrun"
    assert settings.queues == ()
    assert settings.heartbeat_s * 2 < settings.lease_s
