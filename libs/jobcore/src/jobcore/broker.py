"""How Longrun speaks to Redis through Celery: the settings that every sender and worker shares."""

from __future__ import annotations

from typing import Final

from celery import Celery

from jobcore.settings import CoreSettings

TRANSPORT_OPTIONS: Final = {
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


def create_sender(settings: CoreSettings) -> Celery:
    """An app that can send wake-ups."""
    return configure(Celery("longrun"), settings)


def configure(app: Celery, settings: CoreSettings) -> Celery:
    """Set what senders and workers must agree on. No result backend: PostgreSQL has every result."""
    app.conf.update(
        broker_url=settings.redis_url,
        broker_transport_options=dict(TRANSPORT_OPTIONS),
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
    )
    return app
