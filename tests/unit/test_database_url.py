"""DATABASE_URL: every customary form means what it says, and what cannot be read is refused without repeating it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from jobcore.settings import CoreSettings, read
from jobcore.settings.database_url import normalized

TEXT = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)
HOSTS = st.sampled_from(["db", "db.example.org", "10.0.0.1", "[::1]", "%2Fvar%2Frun%2Fpostgresql"])
PORTS = st.integers(1, 65535)
BAD = [
    "",
    "mysql://u:secret@h/x",
    "postgresql:/u:secret@h/x",
    "postgresql://u:sec/ret@h:5432/x",
    "postgresql://u:sec#ret@h/x",
    "postgresql://u:sec?ret@h/x",
    "postgresql://u:sec%ret@h/x",
    "postgresql://u:secret@h:port/x",
    "postgresql://u:secret@h:99999/x",
    "postgresql://u:secret@h:0/x",
    "postgresql://u:sec ret@h/x",
    "postgresql://u:secret@h/x?schema=public",
    "postgresql://u:secret@h/x?pgbouncer=true",
    "postgresql://u:secret@h/x?sslmode=require&sslmode=disable",
    "postgresql://u:secret@/x?host=a,b,c&port=1,2",
    "postgresql://u:secret@h:5432/x/y",
    "postgresql://u:secret@h/x\nDROP",
]


def parameters(url: str) -> dict[str, Any]:
    """What libpq is told."""
    url_for = make_url(normalized(url))
    return dict(url_for.get_dialect()().create_connect_args(url_for)[1])


@given(user=TEXT, password=TEXT, name=TEXT, hosts=st.lists(st.tuples(HOSTS, PORTS), min_size=1, max_size=3))
def test_what_was_encoded_arrives_as_it_was_meant(
    user: str, password: str, name: str, hosts: list[tuple[str, int]]
) -> None:
    place = ",".join(f"{host}:{port}" for host, port in hosts)
    found = parameters(f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{place}/{quote(name, safe='')}")
    assert (found["user"], found["password"], found["dbname"]) == (user, password, name)
    assert found["host"].split(",") == [host.replace("%2F", "/").strip("[]") for host, _ in hosts]
    assert str(found["port"]).split(",") == [str(port) for _, port in hosts]


@given(st.text())
def test_whatever_is_given_is_read_or_refused_in_one_line(rest: str) -> None:
    found = read_or_refused(f"postgresql://{rest}")
    if isinstance(found, str):
        assert normalized(found) == found
    else:
        assert "\n" not in str(found)


def read_or_refused(url: str) -> str | ValueError:
    try:
        return normalized(url)
    except ValueError as refused:
        return refused


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h1:1,h2:2/x?target_session_attrs=read-write", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://u:p@h1,h2/x", {"host": "h1,h2"}),
        ("postgresql://u:p@h1,h2:6/x", {"host": "h1,h2", "port": "5432,6"}),
        ("postgresql://u:p@/x?host=h1:1&host=h2:2", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://u:p@/x?host=h1,h2&port=7", {"host": "h1,h2", "port": "7,7"}),
        ("postgresql://u:p@/x?host=/var/run/postgresql&port=7", {"host": "/var/run/postgresql", "port": "7"}),
        ("postgresql://u@%2Fvar%2Frun/x", {"host": "/var/run"}),
        ("postgresql://u:p@h/x\n", {"host": "h", "dbname": "x"}),
        ("postgresql://u:p@ss@h/x", {"host": "h", "password": "p@ss"}),
        ("postgresql+psycopg2://u:p@[::1]:5/x", {"host": "::1", "port": 5}),
        ("postgresql://u:p@h/x?sslmode=verify-full&sslrootcert=/ca.pem", {"sslmode": "verify-full"}),
    ],
)
def test_the_forms_of_libpq_and_of_sqlalchemy_are_understood(url: str, expected: dict[str, Any]) -> None:
    assert parameters(url).items() >= expected.items()


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_be_used_ends_the_process_with_a_line_that_names_the_variable_and_no_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    read.cache_clear()
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as ended:
        read(CoreSettings)
    _, *lines = str(ended.value).split("\n")
    assert [line.strip().partition(":")[0] for line in lines] == ["DATABASE_URL"]
    assert "sec" not in lines[0]
    assert "ret" not in lines[0]


@pytest.mark.parametrize("schema", ["public", "pg_catalog", "information_schema", "Long", 'a"b', "a-b", "", "a" * 64])
def test_a_schema_that_cannot_be_longruns_own_is_refused(monkeypatch: pytest.MonkeyPatch, schema: str) -> None:
    read.cache_clear()
    monkeypatch.setenv("LONGRUN_SCHEMA", schema)
    with pytest.raises(SystemExit, match="LONGRUN_SCHEMA: "):
        read(CoreSettings)
