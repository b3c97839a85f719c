"""What travels over Redis, all of which may be lost without harm.

`connection` is Celery's connection; `wakeup` sends wake-ups through it and `poller` receives them. `live` publishes
live events and receives cancels; `following` reads live events for streams. `redis_check` asks whether Redis can carry
all this. Where Redis is stands in `jobcore.settings.redis_server`. This room may import store and every room below it.
"""
