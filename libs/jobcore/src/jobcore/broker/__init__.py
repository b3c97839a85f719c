"""What travels over Redis, all of which may be lost without harm.

`connection` is Celery's connection; `waker` sends wake-ups through it and `poller` receives them. `event_publisher`
sends live events and cancels as `event_messages`; `live_events` receives events for streams, `cancel_listener` cancels.
`redis_check` asks whether Redis can carry all this; `jobcore.settings.redis_server` says where Redis is. This room may
import store and every room below it.
"""
