"""The environment variables of Longrun, read once, with the same names in every service."""

from __future__ import annotations

import re
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobcore.settings import database_url, redis_url
from jobcore.settings.allowed import Allowed
from jobcore.settings.redis_server import PREFIX, RedisServer

SECRET_KEY_FORM: Final = re.compile(r"[A-Za-z0-9_-]{43}=")
PREFIX_FORM: Final = re.compile(r"(?=.{2,64}\Z)([A-Za-z0-9_.-]+:)+")
Seconds = Annotated[float, Field(gt=0)]


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaSeparated: Final = BeforeValidator(_split)
"""Reads a tuple from text; use it with `NoDecode`."""
DEFAULT_SCHEMA: Final = "longrun"


class CoreSettings(BaseSettings):
    """The settings of every Longrun process."""

    model_config = SettingsConfigDict(env_prefix="LONGRUN_", extra="ignore", frozen=True)

    database_url: Annotated[str, Field(validation_alias=AliasChoices("DATABASE_URL", "LONGRUN_DATABASE_URL"))] = (
        "postgresql://longrun:longrun@127.0.0.1:5432/longrun"
    )
    """PostgreSQL, as `postgresql://user:password@host:port/name`, or with several hosts, of which the primary is used:
    `postgresql://user:password@host1:5432,host2:5432/name?target_session_attrs=read-write`."""
    database_schema: Annotated[
        str,
        Field(validation_alias="LONGRUN_SCHEMA", pattern="^[a-z_][a-z0-9_]{0,62}$"),
    ] = DEFAULT_SCHEMA
    """The schema of that database in which Longrun keeps its tables: lower-case letters, digits and underscores."""
    redis_url: Annotated[str, Field(validation_alias=AliasChoices("REDIS_URL", "LONGRUN_REDIS_URL"))] = (
        "redis://127.0.0.1:6379/0"
    )
    """Redis or Valkey: `redis://host:port/db`, `rediss://…` (TLS), `unix:///path` or `sentinel://host;sentinel://host`."""
    redis_prefix: str = PREFIX
    """How each key and channel in Redis begins; ends with a colon. Deployments that share a Redis need one each."""
    redis_ca_file: str | None = None
    """The authority (PEM) that signed the certificate of Redis, if the system does not know it."""
    redis_cert_file: str | None = None
    """The certificate (PEM) that Redis asks its clients for."""
    redis_key_file: str | None = None
    """The key of that certificate, if it is in a file of its own."""
    redis_sentinel_master: str | None = None
    """The name under which the Sentinels of `REDIS_URL` know the master."""
    redis_sentinel_password: Annotated[str | None, Field(repr=False)] = None
    """The Sentinels' own password, if they ask for one."""
    tasks: Annotated[tuple[str, ...], NoDecode, CommaSeparated] = ()
    """Modules of task types, comma-separated, beside those of installed packages: dotted names, files that end in
    `.py`, or folders, which are written with a slash. The API and the workers need the same ones."""
    files: Annotated[str | None, Field(pattern=r"^(/|s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(/|$))")] = None
    """Where files are kept: the absolute path of a folder that the API and all workers share, or an S3 bucket as
    `s3://bucket/prefix`, with AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. `make run`, \
compose and the chart set it. Unset: uploads and `ctx.file` fail."""
    secret_keys: Annotated[tuple[str, ...], NoDecode, CommaSeparated, Field(repr=False)] = ()
    """Keys that encrypt inputs with secrets, comma-separated, as `longrun secrets new-key` prints them: the first
    encrypts, all decrypt. The API and the workers need the same ones. Unset: tasks with such inputs are refused."""
    heartbeat_s: Seconds = 5.0
    """How often a worker renews its lease, in seconds."""
    lease_s: Seconds = 30.0
    """How long a worker may go without a heartbeat before its jobs go to others, in seconds."""
    keeper_s: Seconds = 1.0
    """How often the keeper checks for work that is due, in seconds."""
    log_format: Annotated[str, Field(pattern="^(console|json)$")] = "console"
    """`console` for people, `json` for machines."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    """The lowest level that is logged."""
    max_crashes: Annotated[int, Field(ge=1)] = 3
    """How often a job may kill its process before it is failed as `worker_lost`."""
    max_losses: Annotated[int, Field(ge=1)] = 20
    """How often a job may lose its worker through no fault of its own before it is failed."""
    retention_days: Annotated[float, Field(ge=0)] = 30
    """Days that ended jobs are kept; 0 keeps them for good (some 1.2 kB of disk a job)."""
    idempotency_keys_s: Annotated[float, Field(ge=60, le=366 * 86_400)] = 86_400
    """Seconds that an `Idempotency-Key` and the answer to its request are kept."""
    audit_days: Annotated[float, Field(ge=7, le=36_500)] = 365
    """Days that entries of the audit log are kept."""

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: str) -> str:
        return database_url.normalized(value)

    @field_validator("database_schema")
    @classmethod
    def _is_our_own(cls, value: str) -> str:
        if value in ("public", "information_schema") or value.startswith("pg_"):
            raise ValueError("must name a schema of Longrun's own, in which nothing else is kept")
        return value

    @field_validator("secret_keys")
    @classmethod
    def _are_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(SECRET_KEY_FORM.fullmatch, value)):
            raise ValueError("is not a list of keys: make each with `longrun secrets new-key`")
        return value

    @field_validator("redis_prefix")
    @classmethod
    def _is_prefix(cls, value: str) -> str:
        if not PREFIX_FORM.fullmatch(value):
            raise ValueError("must be letters, digits, _ . - and colons, with a colon at the end, such as longrun:")
        return value

    @cached_property
    def redis(self) -> RedisServer:
        """How to connect to Redis; ValueError if the settings contradict each other."""
        return redis_url.parse(
            self.redis_url,
            prefix=self.redis_prefix,
            master=self.redis_sentinel_master,
            sentinel_password=self.redis_sentinel_password,
            ca_file=self.redis_ca_file,
            cert_file=self.redis_cert_file,
            key_file=self.redis_key_file,
        )

    @model_validator(mode="after")
    def _redis_can_be_used(self) -> Self:
        _ = self.redis
        return self

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> Self:
        if self.lease_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"LONGRUN_LEASE_S ({self.lease_s:g}) must be at least twice LONGRUN_HEARTBEAT_S "
                f"({self.heartbeat_s:g}): one late heartbeat must not cost a worker its lease"
            )
        return self


class WorkerSettings(CoreSettings):
    """The further settings of a worker."""

    worker_concurrency: Annotated[int, Field(ge=1, le=256)] = 2
    """Child processes; each runs one job of the process lane at a time, and others beside it."""
    jobs_per_child: Annotated[int, Field(ge=1, le=200)] = 32
    """Jobs of the async and thread lanes that a child runs at once."""
    queues: Annotated[tuple[str, ...], NoDecode, CommaSeparated] = ()
    """Queues to serve, comma-separated; empty: the service's own."""
    skip_broken_tasks: bool = False
    """Serve the other task types when a module of task types cannot be imported, as the API does, instead of ending
    with exit code 1. `longrun run-local` sets it for its workers."""
    drain_s: Seconds = 25.0
    """Seconds that running jobs get to finish after SIGTERM, before they are handed back."""
    cancel_signal_s: Seconds = 2.0
    """Seconds from a cancel to the signal that interrupts the job's own code."""
    cancel_kill_s: Seconds = 10.0
    """Seconds from a cancel to the kill of the child that did not stop, if it runs nothing else."""
    retire_s: Seconds = 30.0
    """Seconds that other jobs of a child get to finish before it is killed because of one that did not stop."""
    webhook_allow: Annotated[frozenset[Allowed], NoDecode, CommaSeparated] = frozenset()
    """Where webhooks may be, besides the public internet, comma-separated: endpoints as `host:port`, and networks such
    as `10.1.0.0/16`, with all ports."""
    webhook_timeout_s: Annotated[float, Field(gt=0, le=50)] = 15.0
    """Seconds that the receiver of a webhook may take to answer."""
    webhook_failing_days: Annotated[float, Field(gt=0, le=365)] = 5.0
    """Days without a single successful delivery after which a subscription is disabled."""
    remote_control: bool = False
    """Let Celery's remote control, and so Flower, control workers. Whoever reaches Redis can then stop them."""
    max_result_bytes: Annotated[int, Field(ge=1024, le=256 * 2**20)] = 2**20
    """Bytes that a job's result or the result of a step may have as JSON; a larger one fails the job. Larger results
    are files: `ctx.file`."""
    max_file_bytes: Annotated[int, Field(ge=1)] = 64 * 2**30
    """Bytes that a result file may have; a larger one fails the job."""
    max_files: Annotated[int, Field(ge=0, le=1000)] = 100
    """Files that a job may have."""
    max_log_lines: Annotated[int, Field(ge=1)] = 100_000
    """Lines that a job's log holds; each 1,000 characters of a line count as one more. Later lines are dropped."""
    max_output_bytes: Annotated[int, Field(ge=1024, le=2**40)] = 64 * 2**20
    """Bytes that all output of a job, `ctx.emit`, may have as JSON; each piece counts 200 more. A piece that does not
    fit is refused."""
    refused_backoff_s: Seconds = 30.0
    """Seconds until another worker may try a job whose input this worker's version of the task type cannot read;
    doubled for each further one. After five the job fails."""
    heartbeat_file: Path | None = None
    """A file for probes, touched every second while the worker is registered and its supervisor runs; unset: none."""
    pod_deletion_cost: bool = False
    """On Kubernetes, annotate the worker's own pod so that a scale-down removes idle pods first."""
    pod_name: Annotated[str, Field(validation_alias=AliasChoices("POD_NAME", "LONGRUN_POD_NAME"))] = ""
    """The pod this worker runs in, for `LONGRUN_POD_DELETION_COST`."""
    pod_namespace: Annotated[str, Field(validation_alias=AliasChoices("POD_NAMESPACE", "LONGRUN_POD_NAMESPACE"))] = ""
    """The namespace of that pod."""

    @model_validator(mode="after")
    def _pod_has_a_name(self) -> Self:
        if self.pod_deletion_cost and not (self.pod_name and self.pod_namespace):
            raise ValueError("LONGRUN_POD_DELETION_COST needs POD_NAME and POD_NAMESPACE (Kubernetes' downward API)")
        return self


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


@cache
def read(settings_class: type[SettingsT]) -> SettingsT:
    """Read settings from the environment; ends the process with one line for each invalid variable."""
    try:
        return settings_class()
    except ValidationError as error:
        lines = [f"  {_variable(item['loc'])}{item['msg'].removeprefix('Value error, ')}" for item in error.errors()]
        raise SystemExit("longrun: settings that cannot be used:\n" + "\n".join(lines)) from None


def _variable(loc: tuple[int | str, ...]) -> str:
    if not loc:
        return ""
    name = str(loc[0])
    return f"{name}: " if name.isupper() else f"LONGRUN_{name.upper()}: "
