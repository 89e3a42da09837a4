"""The whole system on a virtual clock: real services, adapters in memory, seeded interleavings.

One process and no threads. Producers, workers, controllers and operators are greenlets; each stops
at every call of a port, and the scheduler picks who goes on (`scheduler.py`). Between two calls a
process can be paused, cut off or killed (`process.py`, `chaos.py`). Whatever happens is written to
a history, and `judge.py` says what in it must not be.

    python -m tests.simulation --seed 7 --weeks 20        prints the history of a seed
"""
