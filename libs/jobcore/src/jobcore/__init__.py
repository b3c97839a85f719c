"""The heart of Longrun: PostgreSQL is the queue, a Celery message only wakes a worker up."""
