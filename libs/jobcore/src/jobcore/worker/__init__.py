"""What runs in the processes of a Celery worker: its main process and the children of its pool."""
