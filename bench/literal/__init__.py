"""A baseline: the usual design of a job service with FastAPI, Celery and PostgreSQL.

Each request makes one row, one commit and one Celery message. The worker is a default prefork worker with late
acknowledgement and the Redis result backend. PostgreSQL has the status and the log lines of each job.
"""
