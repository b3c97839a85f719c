"""To whom a delivery goes, what it is signed with, and who notes how it went: a job's webhook, or a subscription."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from jobcore.errors import PermanentError
from jobcore.models.acts import Act
from jobcore.models.webhooks import DELIVERY_TYPE, WebhookSecret
from jobcore.settings import WorkerSettings, read
from jobcore.store import subscriptions, webhook_secrets
from jobcore.store.acting import acting
from jobcore.store.database import Database

DAY_S: Final = 86_400
DISABLES: Final = Act("disable_webhook", DELIVERY_TYPE)


class NoReceiver(PermanentError):
    """The subscription was deleted or disabled after the event."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The URL of a webhook and its live secrets."""

    database: Database
    url: str
    secrets: Sequence[WebhookSecret]
    watched: UUID | None
    """The subscription that is disabled after days of failure; None: nobody counts."""

    def note_success(self) -> None:
        """The receiver has accepted a message."""
        if self.watched:
            self.database.call(subscriptions.note_success, self.watched)

    def note_failure(self, said: str, *, gone: bool) -> None:
        """The receiver has not accepted a message, or wants none ever again."""
        if self.watched is None:
            return
        days = read(WorkerSettings).webhook_failing_days
        reason = said if gone else f"no delivery has succeeded for {days:g} days; the last one: {said}"
        with acting(DISABLES):
            self.database.call(subscriptions.note_failure, self.watched, days * DAY_S, reason[:1000], gone=gone)


def of(database: Database, owner: str | None, url: str, webhook_id: UUID | None, *, is_ping: bool) -> Receiver:
    """The receiver as it is now; raises NoReceiver. The URL is that of the subscription, if there is one.

    A ping goes to a disabled subscription, too, and says nothing about its health: it is how to try one.
    """
    if webhook_id is None:
        return Receiver(database, url, database.call(webhook_secrets.live, owner), None)
    found = database.call(subscriptions.find, webhook_id)
    if found is None:
        raise NoReceiver("the webhook was deleted")
    if found.disabled_at is not None and not is_ping:
        raise NoReceiver(f"the webhook is disabled: {found.disabled_reason}")
    secrets = database.call(subscriptions.secrets, webhook_id)
    return Receiver(database, found.url, secrets, None if is_ping else webhook_id)
