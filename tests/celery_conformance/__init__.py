"""The same Celery task on bare Celery and behind rollout: what callers, signals, backend saw."""
