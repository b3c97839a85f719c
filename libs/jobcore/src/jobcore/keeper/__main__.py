"""`python -m jobcore.keeper`: runs a keeper as a process of its own."""

from __future__ import annotations

import signal

from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.redis_check import refuse_cluster
from jobcore.broker.waker import Waker
from jobcore.keeper.keeper import Keeper
from jobcore.settings import CoreSettings, read
from jobcore.telemetry import logs, traces

log = logs.get(__name__)


def main() -> None:
    """Run a keeper as a process of its own until SIGTERM or SIGINT."""
    settings = read(CoreSettings)
    refuse_cluster(settings.redis)
    logs.setup(settings)
    traces.setup("longrun-keeper", spans=False)
    waker, publisher = Waker(settings), EventPublisher(settings.redis)
    keeper = Keeper(settings, waker, publisher)
    waker.start()
    publisher.start()
    keeper.start()
    log.info("keeper started")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    keeper.stop()
    waker.stop()
    publisher.stop()
    traces.flush()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
