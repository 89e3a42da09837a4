"""What a job costs: every figure beside its peer or its baseline, measured in one run.

    __main__.py    runs all parts, prints the table, writes reports/bench.json
    figures.py     a figure with its target; medians; interleaving
    servers.py     Valkey, PostgreSQL and a worker, started and stopped here
    route.py       the routing decision beside flag SDKs
    steps.py       route, ledger insert, gate, claim, commit by direct calls; one at a time, in bulk
    publish.py     delay() of a sub-pipeline beside delay() of the same task
    end_to_end.py  the same no-op as a bare task and as a sub-pipeline, in a real worker (jobs.py)
    dead_store.py  how long the gate takes when the control store is gone
    writers.py     four processes that claim and commit on one SQLite file
    tick.py        a tick over many new jobs, many trials and a long history (tick_plant.py)

The machine is shared and noisy: what is compared takes turns (A B A B ...), and the figure is a
median or a difference of medians. Trust ratios, not single microseconds.
"""
