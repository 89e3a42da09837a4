"""Processes on one machine: Celery workers, the embedded Valkey, and who looks after them."""
