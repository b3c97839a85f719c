"""What travels over Redis: wake-ups through Celery, live events and cancels."""
