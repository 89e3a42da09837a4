"""Bare Celery and rollout side by side: the same jobs, the same faults, what is lost and doubled.

__main__.py   `python -m tests.crash.side_by_side`: every case, the report, the table
case.py       one case: servers, workers, producer, faults, count
app.py        the same job as a bare Celery task and behind rollout
producer.py   submits the jobs, and tells which submissions returned
"""
