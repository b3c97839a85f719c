"""Reads DATABASE_URL as people write it: for libpq, for SQLAlchemy, with a final newline, for a socket or many hosts.

The result has the one form that SQLAlchemy's psycopg2 dialect reads. No message repeats any part of the value, because
in an invalid URL any part may belong to a password.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import psycopg2
from psycopg2.extensions import make_dsn

EXAMPLE: Final = "postgresql://user:password@host:5432/name"
SCHEMES: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg2"})
ENCODE: Final = "write a / ? # @ : or % of the user and the password percent-encoded"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:]*)(?::(?P<port>[0-9]*))?")
_PLAIN: Final = re.compile(r"[\w.-]*", re.ASCII)
_ENCODED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")

Host = tuple[str, str]
"""A host name, address or socket folder, and a port or ''."""


def normalized(value: str) -> str:
    """The URL in the form that Longrun uses; ValueError says in one line what is wrong."""
    value = value.strip()
    scheme, separator, rest = value.partition("://")
    if scheme.lower() not in SCHEMES or not separator:
        raise ValueError(f"must look like {EXAMPLE}")
    if _UNPRINTABLE.search(rest):
        raise ValueError("contains a space, a line break or another control character")
    if _ENCODED.search(rest):
        raise ValueError(f"contains a % that encodes no character: {ENCODE}")
    location, _, query = rest.partition("?")
    authority, _, name = location.partition("/")
    user, hosts = _authority(authority)
    if "@" in name or "/" in name or "#" in rest:
        raise ValueError(f"cannot be read: {ENCODE}")
    options = _options(query)
    hosts = _in_options(options) or hosts
    return f"postgresql://{user}{_place(hosts, name, options)}"


def _authority(authority: str) -> tuple[str, list[Host]]:
    """`user:password@` with the same percent-encoding throughout, and the hosts."""
    userinfo, at, hosts = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    encoded = f"{_encoded(user)}{colon}{_encoded(password)}{at}"
    return encoded, [_host(part) for part in hosts.split(",")] if hosts else []


def _host(part: str) -> Host:
    match = _HOST.fullmatch(part)
    if not match:
        raise ValueError(f"names a host or a port that cannot be read: {ENCODE}")
    port = match["port"] or ""
    if port and not 1 <= int(port[:6]) <= 65535:
        raise ValueError("names a port that is not between 1 and 65535")
    return unquote(match["host"]).strip("[]"), port


def _options(query: str) -> dict[str, str]:
    """The options after the `?`; several hosts are joined by commas."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "schema":
            raise ValueError('"schema" is no option of a PostgreSQL URL: LONGRUN_SCHEMA names Longrun\'s schema')
        try:
            make_dsn(**{name: "0"})
        except (psycopg2.ProgrammingError, TypeError):
            shown = f'"{name}"' if name.isidentifier() and len(name) < 40 else "something"
            raise ValueError(f"has {shown} after the ?, which is no option of PostgreSQL's client library") from None
        if name in options and name != "host":
            raise ValueError(f'has the option "{name}" twice')
        options[name] = f"{options[name]},{value}" if name in options else value
    return options


def _in_options(options: dict[str, str]) -> list[Host]:
    """Remove the hosts from the options (`host=a,b&port=1,2` or `host=a:1&host=b:2`) and return them."""
    given = options.pop("host", "")
    if not given:
        return []
    hosts = [(part, "") if part.startswith("/") else _host(part) for part in given.split(",")]
    ports = options.pop("port", "").split(",")
    if len(ports) not in (1, len(hosts)):
        raise ValueError("names more or fewer ports than hosts")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [_host(f"x:{port}")[1:] and (host, own or port) for (host, own), port in zip(hosts, ports, strict=True)]


def _place(hosts: list[Host], name: str, options: dict[str, str]) -> str:
    """Everything after `user:password@`."""
    if len(hosts) == 1 and not hosts[0][0].startswith("/"):
        host, port = hosts[0]
        authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    else:
        authority = ""
        if hosts:
            options = {"host": ",".join(host for host, _ in hosts), **options}
        if any(port for _, port in hosts):
            options = {**options, "port": ",".join(port or "5432" for _, port in hosts)}
    if not _PLAIN.fullmatch(name):
        options, name = {"dbname": unquote(name), **options}, ""  # SQLAlchemy does not decode a name in the path
    query = urlencode(options, quote_via=quote, safe="")
    return f"{authority}/{name}{'?' if query else ''}{query}"


def _encoded(part: str) -> str:
    return quote(unquote(part), safe="")
