"""A baseline: the first design of this service written literally, and fairly.

One row and one commit, then one Celery message a request; a default prefork worker with late
acknowledgement and the Redis result backend; the job's status and log lines in PostgreSQL.
"""
