"""Reads REDIS_URL in every form that Celery, kombu and redis-py document.

    redis://[user:password@]host[:port][/db]        rediss:// is the same over TLS
    unix:///path[?db=n]                             also redis+socket:///path, as kombu calls it
    sentinel://host[:port];sentinel://host[:port]   also redis+sentinel://host,host; rediss+sentinel:// over TLS

An invalid URL is refused with one line that names the variable and never shows the URL, which has a password.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from jobcore.settings.redis_server import PREFIX, RedisServer, Tls

TCP: Final = {"redis": False, "rediss": True}
"""Schemes, and whether they mean TLS."""
SENTINEL: Final = {"sentinel": False, "redis+sentinel": False, "rediss+sentinel": True}
SOCKET: Final = ("unix", "redis+socket")
NEXT_URL: Final = re.compile(r";(?=[a-z+]+://)")
REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "cert_none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "cert_optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
    "cert_required": ssl.CERT_REQUIRED,
}
"""The values of `ssl_cert_reqs` in redis-py and in Celery, in lower case."""
TLS_FILES: Final = {"ssl_ca_certs": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}
TLS_PARAMETERS: Final = {*TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname"}
PARAMETERS: Final = {"db", "virtual_host", *TLS_PARAMETERS}


def parse(
    url: str,
    *,
    prefix: str = PREFIX,
    master: str | None = None,
    sentinel_password: str | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
) -> RedisServer:
    """The server that a URL names; ValueError with one line without secrets if the URL is invalid.

    The arguments for certificate files take precedence over those in the URL's query.
    """
    first, *others = [_split(part.strip()) for part in NEXT_URL.split(url.strip())]
    query = _query(first) | (_query(others[-1]) if others else {})
    files = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}
    server = RedisServer(
        db=_db((first, *others)[-1], query),
        username=_unquoted(first.username),
        password=_unquoted(first.password),
        tls=_tls(first.scheme, query, files),
        prefix=prefix,
    )
    if first.scheme in SOCKET:
        return replace(server, hosts=(), socket=_socket(first))
    if first.scheme in TCP:
        if others or "," in first.netloc.rpartition("@")[2]:
            raise ValueError("REDIS_URL: name one host; only Sentinels may be several: sentinel://host;sentinel://host")
        return replace(server, hosts=_hosts(first, REDIS_PORT))
    if not master:
        raise ValueError("LONGRUN_REDIS_SENTINEL_MASTER: name the master that the Sentinels of REDIS_URL look after")
    if {part.scheme for part in others} - {first.scheme}:
        raise ValueError("REDIS_URL: the address of each Sentinel must begin with the same scheme, sentinel://")
    sentinels = tuple(host for part in (first, *others) for host in _hosts(part, SENTINEL_PORT))
    return replace(server, hosts=sentinels, master=master, sentinel_password=sentinel_password)


def _split(url: str) -> SplitResult:
    scheme, separator, _ = url.partition("://")
    if "cluster" in scheme:
        raise ValueError("REDIS_URL: Redis Cluster is not supported; use one Redis, or Sentinel")
    if not separator or scheme not in {*TCP, *SENTINEL, *SOCKET}:
        raise ValueError("REDIS_URL: must look like redis://host:6379/0, rediss://…, unix:///path or sentinel://host")
    try:
        parts = urlsplit(url)
        _ = [urlsplit(f"//{host}").port for host in parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        parts = None
    if parts is None or parts.fragment:
        raise ValueError(
            "REDIS_URL: the host or port cannot be read; percent-encode characters such as / # ? @ in a password"
        )
    return parts


def _socket(parts: SplitResult) -> str:
    path = unquote(parts.netloc.rpartition("@")[2] + parts.path)
    if not path.startswith("/"):
        raise ValueError("REDIS_URL: a socket needs an absolute path: unix:///run/redis/redis.sock")
    return path


def _hosts(parts: SplitResult, port: int) -> tuple[tuple[str, int], ...]:
    addresses = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
    return tuple((unquote(address.hostname or "127.0.0.1"), address.port or port) for address in addresses)


def _query(parts: SplitResult) -> dict[str, str]:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(query.keys() - PARAMETERS):
        raise ValueError(f"REDIS_URL: unknown parameter {unknown[0]!r}; known are {', '.join(sorted(PARAMETERS))}")
    return query


def _db(parts: SplitResult, query: Mapping[str, str]) -> int:
    path = "" if parts.scheme in SOCKET else parts.path.strip("/")
    text = query.get("db") or query.get("virtual_host") or unquote(path) or "0"
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("REDIS_URL: the database must be a number, as in redis://host:6379/0")
    return int(text)


def _tls(scheme: str, query: Mapping[str, str], files: Mapping[str, str | None]) -> Tls | None:
    chosen = {TLS_FILES[name]: value for name, value in query.items() if name in TLS_FILES}
    chosen |= {name: value for name, value in files.items() if value}
    if not (TCP | SENTINEL).get(scheme):
        if chosen or query.keys() & TLS_PARAMETERS:
            raise ValueError("REDIS_URL: certificates are for rediss:// and rediss+sentinel:// only")
        return None
    requested = query.get("ssl_cert_reqs", "required")
    if requested.lower() not in VERIFY:
        raise ValueError("REDIS_URL: ssl_cert_reqs must be required, optional or none")
    tls = Tls(
        verify=VERIFY[requested.lower()],
        check_hostname=query.get("ssl_check_hostname", "true").lower() not in ("false", "0", "no"),
        ca_file=chosen.get("ca_file"),
        cert_file=chosen.get("cert_file"),
        key_file=chosen.get("key_file"),
    )
    _check_files(tls)
    return tls


def _check_files(tls: Tls) -> None:
    if tls.key_file and not tls.cert_file:
        raise ValueError("LONGRUN_REDIS_KEY_FILE: needs LONGRUN_REDIS_CERT_FILE beside it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    variable = "LONGRUN_REDIS_CA_FILE"
    try:
        if tls.ca_file:
            context.load_verify_locations(tls.ca_file)
        variable = "LONGRUN_REDIS_CERT_FILE"
        if tls.cert_file:
            # without a password OpenSSL would ask for one on the terminal
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except ssl.SSLError:
        raise ValueError(f"{variable}: has no certificate, or its key does not match or is encrypted") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{variable}: cannot be used: {reason}") from None


def _unquoted(text: str | None) -> str | None:
    return unquote(text) if text else None
