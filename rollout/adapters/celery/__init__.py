"""Celery carries the jobs: routing at publish, gate at start, fallback before any failure state.

Where rollout takes hold of Celery, and nowhere else:

    amqp.py     the one door every message leaves by (delay, send_task, canvas, beat, retries)
    task.py     around the path: gate, claim, run, commit (`Task.__call__`)
    request.py  in the worker's main process: what the path cannot catch (killed child, hard limit)
    steps.py    in the worker's main process: foreign messages, renewal of claims
    queues.py   for the controller: stored messages are sent again, without the user's code
    install.py  puts the pieces into an app
"""
