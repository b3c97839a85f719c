"""Faults of the network between any two: partitions, resets, delays, and the loss of replies alone."""

from __future__ import annotations

import time

from tests.chaos.deployment import APIS, WORKERS
from tests.chaos.kinds import ANY, Strike, fault
from tests.harness import LEASE_S

BRIEF = (0.5, 3.0)
LONG = (1.0, LEASE_S + 3)
MUTE = (2.0, 25.0)
"""Some times longer than any deadline."""
SLOW_S = 0.1


@fault(WORKERS, LONG)
def worker_parted_from_postgres(strike: Strike) -> None:
    """A worker's link to PostgreSQL holds everything, some times past the lease."""
    with strike.deployment.nodes[strike.target].postgres.held():
        time.sleep(strike.seconds)


@fault(APIS, LONG)
def api_parted_from_postgres(strike: Strike) -> None:
    """An API's link to PostgreSQL holds everything."""
    with strike.deployment.nodes[strike.target].postgres.held():
        time.sleep(strike.seconds)


@fault(ANY, BRIEF)
def replies_of_postgres_held(strike: Strike) -> None:
    """Statements reach PostgreSQL, its replies do not arrive; then the connections break."""
    link = strike.deployment.nodes[strike.target].postgres
    with link.held(replies_only=True):
        time.sleep(strike.seconds)
        link.cut()


@fault(ANY)
def postgres_connections_reset(strike: Strike) -> None:
    """RST on all connections of one process to PostgreSQL."""
    strike.deployment.nodes[strike.target].postgres.cut()


@fault(ANY, LONG)
def postgres_link_slow(strike: Strike) -> None:
    """0.1 s more each way to PostgreSQL."""
    with strike.deployment.nodes[strike.target].postgres.slow(SLOW_S):
        time.sleep(strike.seconds)


@fault(WORKERS, LONG)
def worker_parted_from_redis(strike: Strike) -> None:
    """A worker's link to Redis holds everything."""
    with strike.deployment.nodes[strike.target].redis.held():
        time.sleep(strike.seconds)


@fault(APIS, LONG)
def api_parted_from_redis(strike: Strike) -> None:
    """An API's link to Redis holds everything."""
    with strike.deployment.nodes[strike.target].redis.held():
        time.sleep(strike.seconds)


@fault(ANY, MUTE)
def postgres_connections_muted(strike: Strike) -> None:
    """What is connected to PostgreSQL stays so and passes nothing any more; new connections are whole."""
    with strike.deployment.nodes[strike.target].postgres.muted():
        time.sleep(strike.seconds)


@fault(ANY, MUTE)
def redis_connections_muted(strike: Strike) -> None:
    """What is connected to Redis stays so and passes nothing any more; new connections are whole."""
    with strike.deployment.nodes[strike.target].redis.muted():
        time.sleep(strike.seconds)


@fault(ANY)
def redis_connections_reset(strike: Strike) -> None:
    """RST on all connections of one process to Redis."""
    strike.deployment.nodes[strike.target].redis.cut()


@fault(ANY, LONG)
def redis_link_slow(strike: Strike) -> None:
    """0.1 s more each way to Redis."""
    with strike.deployment.nodes[strike.target].redis.slow(SLOW_S):
        time.sleep(strike.seconds)


@fault(WORKERS, LONG)
def worker_isolated(strike: Strike) -> None:
    """A worker is parted from PostgreSQL and Redis."""
    node = strike.deployment.nodes[strike.target]
    with node.postgres.held(), node.redis.held():
        time.sleep(strike.seconds)


@fault(APIS)
def client_connections_reset(strike: Strike) -> None:
    """RST on all connections between clients and an API."""
    front = strike.deployment.nodes[strike.target].front
    assert front is not None
    front.cut()


@fault(APIS, BRIEF)
def answers_of_api_lost(strike: Strike) -> None:
    """Requests reach an API, its answers are lost."""
    front = strike.deployment.nodes[strike.target].front
    assert front is not None
    with front.held(replies_only=True):
        time.sleep(strike.seconds)
        front.cut()
