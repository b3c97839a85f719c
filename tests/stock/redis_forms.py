"""Redis of the distribution's package in the forms that operators give it: TLS, a socket, an ACL, Sentinels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from jobcore.settings.redis_server import RedisServer
from jobcore.settings.redis_url import parse
from longrun_local.ports import free_port
from tests.servers import DebianRedis
from tests.waiting import until

ACL_PAGE = Path(__file__).parent.parent.parent / "docs" / "operations.md"
MASTER = "longrun-master"


class Redis(DebianRedis):
    """One server with some lines of configuration more, which go last."""

    def __init__(self, data_dir: Path, *lines: str, tls: Certificates | None = None) -> None:
        super().__init__(data_dir)
        self.lines = lines
        self.tls = tls

    def configuration(self) -> str:
        """The package's configuration, then these lines."""
        return "\n".join((super().configuration(), *(self._tls_lines() if self.tls else ()), *self.lines, ""))

    @property
    def url(self) -> str:
        """For tests: with TLS the certificate may be for any host."""
        plain = super().url
        return f"rediss{plain.removeprefix('redis')}?{self.tls.query}&ssl_check_hostname=false" if self.tls else plain

    def _tls_lines(self) -> Sequence[str]:
        assert self.tls is not None
        return (
            "port 0",
            f"tls-port {self.port}",
            f"tls-cert-file {self.tls.server}.crt",
            f"tls-key-file {self.tls.server}.key",
            f"tls-ca-cert-file {self.tls.authority}",
            "tls-auth-clients optional",
        )


@dataclass(frozen=True)
class Certificates:
    """An authority and what it signed; `server` and `client` are paths without .crt and .key."""

    authority: Path
    server: Path
    client: Path

    @property
    def query(self) -> str:
        """The parameters of a URL that a client needs."""
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.client}.crt&ssl_keyfile={self.client}.key"


def certificates(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Certificates:
    """A new authority with a server's certificate for these names and a client's."""
    folder.mkdir(parents=True)
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    made = Certificates(folder / "ca.crt", folder / "server", folder / "client")
    _openssl("req", "-x509", *key, "-subj", f"/CN={folder.name}", "-keyout", folder / "ca.key", "-out", made.authority)
    for path in (made.server, made.client):
        extension = folder / f"{path.name}.ext"
        extension.write_text(f"subjectAltName={names}\n")
        _openssl("req", "-new", *key[:3], "-subj", f"/CN={path.name}", "-keyout", f"{path}.key", "-out", f"{path}.csr")
        signed_by = ("-CA", made.authority, "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", *signed_by, "-in", f"{path}.csr", "-extfile", extension, "-out", f"{path}.crt")
    return made


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def acl(name: str, password: str) -> str:
    """The user that docs/operations.md tells operators to make, as one line of Redis' configuration."""
    [line] = [line.strip() for line in ACL_PAGE.read_text().splitlines() if line.strip().startswith("user longrun ")]
    return line.replace("user longrun ", f"user {name} ").replace(">PASSWORD", f">{password}")


@dataclass(frozen=True)
class Formed:
    """A Redis in some form: what Longrun is told, and a client that may do everything."""

    env: dict[str, str]
    server: RedisServer
    admin: redis.Redis


@contextmanager
def _alone(server: Redis, env: dict[str, str], **settings: str) -> Iterator[Formed]:
    with server, redis.Redis.from_url(server.url, decode_responses=True) as admin:
        yield Formed(env, parse(env["REDIS_URL"], **settings), admin)


@contextmanager
def tls_by_settings(folder: Path) -> Iterator[Formed]:
    """TLS, the authority named by Longrun's own setting; the host by its name."""
    made = certificates(folder / "ca")
    server = Redis(folder / "redis", tls=made)
    url = f"rediss://:{_password(server)}@localhost:{server.port}/0"
    with _alone(
        server, {"REDIS_URL": url, "LONGRUN_REDIS_CA_FILE": str(made.authority)}, ca_file=str(made.authority)
    ) as formed:
        yield formed


@contextmanager
def tls_as_celery_says(folder: Path) -> Iterator[Formed]:
    """TLS with a client's certificate, all in the URL as Celery's documentation has it."""
    made = certificates(folder / "ca")
    server = Redis(folder / "redis", "tls-auth-clients yes", tls=made)
    url = f"rediss://:{_password(server)}@127.0.0.1:{server.port}/0?ssl_cert_reqs=CERT_REQUIRED&{made.query}"
    with _alone(server, {"REDIS_URL": url}) as formed:
        yield formed


@contextmanager
def socket(folder: Path) -> Iterator[Formed]:
    """A Unix socket, no TCP for Longrun, and database 3."""
    path = folder / "redis.sock"
    server = Redis(folder / "redis", f'unixsocket "{path}"', "unixsocketperm 777")
    url = f"unix://:{_password(server)}@{path}?db=3"
    with _alone(server, {"REDIS_URL": url}) as formed:
        yield formed


@contextmanager
def least_rights(folder: Path) -> Iterator[Formed]:
    """A user with no more than docs/operations.md grants, and a trailing newline as a file of secrets has."""
    server = Redis(folder / "redis", acl("shop", "s3cret:/#"))
    url = f"redis://shop:s3cret%3A%2F%23@127.0.0.1:{server.port}/0\n"
    with _alone(server, {"REDIS_URL": url}) as formed:
        yield formed


FORMS = {form.__name__: form for form in (tls_by_settings, tls_as_celery_says, socket, least_rights)}


@dataclass(frozen=True)
class Watched:
    """Two servers, of which one is the master, and three Sentinels that agree on which."""

    servers: Sequence[Redis]
    env: dict[str, str]


@contextmanager
def sentinels(folder: Path) -> Iterator[Watched]:
    """A master, its replica, and Sentinels that notice within a second that the master is gone."""
    with ExitStack() as running:
        password = _password(Redis(folder / "one"))
        (folder / "two").mkdir()
        shutil.copy(folder / "one" / "password", folder / "two" / "password")
        auth = f"masterauth {password}"
        one = running.enter_context(Redis(folder / "one", auth))
        two = running.enter_context(Redis(folder / "two", auth, f"replicaof 127.0.0.1 {one.port}"))
        ports = [free_port() for _ in range(3)]
        for port in ports:
            _start_sentinel(running, folder, port, one.port, password)
        with redis.Redis(port=two.port, password=password) as replica:
            until(lambda: replica.info("replication")["master_link_status"] == "up", what="the replica follows")
        for port in ports:
            with redis.Redis(port=port, decode_responses=True) as sentinel:
                until(lambda: _knows_all(sentinel), what="the Sentinels know each other and the replica")
        url = ";".join(f"sentinel://:{password}@127.0.0.1:{port}/0" for port in ports)
        yield Watched((one, two), {"REDIS_URL": url, "LONGRUN_REDIS_SENTINEL_MASTER": MASTER})


def _knows_all(sentinel: redis.Redis) -> bool:
    try:
        # redis-py's own sentinel_master() trips over an option of its own in 6.4
        master: Any = sentinel.execute_command("SENTINEL MASTER", MASTER)  # type: ignore[no-untyped-call]
    except redis.RedisError:
        return False
    return bool(master["num-other-sentinels"] == 2 and master["num-slaves"] == 1)


def _start_sentinel(running: ExitStack, folder: Path, port: int, master: int, password: str) -> None:
    config = folder / f"sentinel-{port}.conf"
    config.write_text(
        f'bind 127.0.0.1\nport {port}\ndir "{folder}"\nprotected-mode no\n'
        f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\nsentinel auth-pass {MASTER} {password}\n"
        f"sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 5000\n"
    )
    process = subprocess.Popen(
        ["redis-server", config, "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    running.callback(process.wait)
    running.callback(process.kill)


def _password(server: Redis) -> str:
    server.data_dir.mkdir(parents=True, exist_ok=True)
    return server.password()
