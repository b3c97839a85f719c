"""How Celery's own tools (Flower, `celery inspect`) find Longrun's workers; `CELERY_BROKER_URL` says where.

The same prefix and exchanges as in `jobcore.broker`. Workers answer with LONGRUN_REMOTE_CONTROL=true only.
"""

import os

broker_transport_options = {"global_keyprefix": os.environ.get("LONGRUN_REDIS_PREFIX", "longrun:")}
control_exchange = "celery:control"
event_exchange = "celery:events"
