"""REDIS_URL is read alike in every spelling; what cannot be used is refused in one line that holds no secret."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from jobcore.broker.connection import create_sender
from jobcore.settings import CoreSettings
from jobcore.settings.redis_server import RedisServer, Tls
from jobcore.settings.redis_url import parse

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", RedisServer()),
        ("redis://localhost", RedisServer(hosts=(("localhost", 6379),))),
        ("redis://[::1]:7000/3", RedisServer(hosts=(("::1", 7000),), db=3)),
        ("redis://h:1/0?db=4", RedisServer(hosts=(("h", 1),), db=4)),
        ("redis://h:1?virtual_host=4", RedisServer(hosts=(("h", 1),), db=4)),
        ("redis://u:p%40%2F%23@h:1/\n", RedisServer(hosts=(("h", 1),), username="u", password="p@/#")),
        (" redis://:p@h ", RedisServer(hosts=(("h", 6379),), password="p")),
        ("unix:///run/r.sock?db=2", RedisServer(hosts=(), socket="/run/r.sock", db=2)),
        ("unix://u:p@/run/r.sock", RedisServer(hosts=(), socket="/run/r.sock", username="u", password="p")),
        ("redis+socket:///run/r.sock?virtual_host=2", RedisServer(hosts=(), socket="/run/r.sock", db=2)),
        ("unix://%2Frun%2Fr.sock", RedisServer(hosts=(), socket="/run/r.sock")),
        ("rediss://h", RedisServer(hosts=(("h", 6379),), tls=Tls())),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", RedisServer(hosts=(("h", 6379),), tls=Tls())),
        ("rediss://h?ssl_cert_reqs=required", RedisServer(hosts=(("h", 6379),), tls=Tls())),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", RedisServer(hosts=(("h", 6379),), tls=Tls(verify=ssl.CERT_NONE))),
        ("rediss://h?ssl_check_hostname=false", RedisServer(hosts=(("h", 6379),), tls=Tls(check_hostname=False))),
    ],
)
def test_a_url_is_read_in_the_spellings_of_celery_kombu_and_redis_py(url: str, expected: RedisServer) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "hosts", "password"),
    [
        ("sentinel://a:1;sentinel://b", (("a", 1), ("b", 26379)), None),
        ("sentinel://:p@a:1/2;sentinel://:p@b:3/2", (("a", 1), ("b", 3)), "p"),
        ("redis+sentinel://:p@a:1,b:3/2", (("a", 1), ("b", 3)), "p"),
    ],
)
def test_sentinels_are_read_as_kombu_and_as_others_write_them(
    url: str, hosts: tuple[tuple[str, int], ...], password: str | None
) -> None:
    server = parse(url, master="m", sentinel_password="q")
    assert (server.hosts, server.password, server.master, server.sentinel_password) == (hosts, password, "m", "q")
    assert parse("rediss+sentinel://a", master="m").tls == Tls()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://x:s3cr3t@h", "must look like redis://"),
        ("h:6379", "must look like redis://"),
        ("", "must look like redis://"),
        ("redis+cluster://:s3cr3t@h", "Redis Cluster is not supported"),
        ("redis://:s3cr3t@a:1,b:2/0", "name one host"),
        ("redis://:s3cr3t@a;redis://b", "name one host"),
        ("redis://:s3cr3t#@h", "percent-encode"),
        ("redis://:s3cr3t/@h:1", "percent-encode"),
        ("redis://:s3cr3t@h:port", "percent-encode"),
        ("redis://:s3cr3t@h:99999", "percent-encode"),
        ("redis://:s3cr3t@h/zero", "the database must be a number"),
        ("redis://:s3cr3t@h?socket_timeoutt=3", "unknown parameter 'socket_timeoutt'"),
        ("redis://:s3cr3t@h?ssl_cert_reqs=required", "for rediss://"),
        ("rediss://:s3cr3t@h?ssl_cert_reqs=maybe", "required, optional or none"),
        ("rediss://:s3cr3t@h?ssl_ca_certs=/no/such", "LONGRUN_REDIS_CA_FILE: cannot be used: No such file"),
        ("rediss://:s3cr3t@h?ssl_keyfile=/x", "LONGRUN_REDIS_KEY_FILE: needs LONGRUN_REDIS_CERT_FILE"),
        ("unix://:s3cr3t@run/r.sock", "a socket needs an absolute path"),
        ("sentinel://:s3cr3t@h", "LONGRUN_REDIS_SENTINEL_MASTER"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line_without_its_password(url: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from jobcore.settings import *; read(CoreSettings)"],
        env={"REDIS_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    head, line = ended.stderr.strip().split("\n")
    assert head == "longrun: settings that cannot be used:"
    assert line.strip().startswith(("REDIS_URL: ", "LONGRUN_REDIS_"))
    assert said in line
    assert SECRET not in ended.stderr


@pytest.mark.parametrize("prefix", ["", ":", "a", "a b:", "*:", "ä:", "a:\n", f"{'x' * 70}:"])
def test_a_prefix_that_other_applications_could_not_be_told_from_is_refused(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGRUN_REDIS_PREFIX", prefix)
    with pytest.raises(ValueError, match="with a colon at the end"):
        CoreSettings()


def test_no_secret_is_shown_by_the_address_or_by_celery(tmp_path: Path) -> None:
    settings = CoreSettings(REDIS_URL=f"redis://u:{SECRET}@h:1/2")
    app: Celery = create_sender(settings)
    assert settings.redis.address == "redis://h:1/2"
    shown = [repr(settings.redis), app.connection_for_write().as_uri(), str(app.conf.broker_url), app.conf.humanize()]
    assert SECRET not in " ".join(shown)
