"""The crash harness: real processes, real servers, seeded faults, and a checker over the history.

python -m tests.crash                            the short run of a few fixed seeds
python -m tests.crash --seeds 1-20 --jobs 10000 --faults 50

__main__.py   arguments, runs of many seeds, exit code
run.py        one seed: start the plant, hurt it while jobs flow, wait, collect
plant.py      the processes of one run and who looks after them
servers.py    Valkey and PostgreSQL from their wheels
proxy.py      the link between one worker and its servers, in a process of its own
faults.py     which faults there are, which the seed draws, and those under way
harms.py      what can be done to a plant, each with its recovery
previous.py   another revision of the package, for one more worker
app.py        the Celery app under test, which tells the history what it does
watched.py    ledger and control store that tell the history what they answered
unguarded.py  the same program with one guard taken out, which a run has to notice
jumping_clock.py  a wall clock that the driver can move
controller.py the product's own loop on the watched runtime
producer.py   submits jobs until its share is submitted
callers.py    links, chains and chords, whose callers wait
operator.py   double, revert, kill, rearm
history.py    one append-only file per process
checker.py    what must never be in a history
kill_rules.py what must never be after an acknowledged kill
caller_rules.py results that are told, effects, deaths by silence, counts against rows
answer_rules.py what links, chains, chords and results say, and a hook's own words
beat_rules.py heartbeats, scope of others, deaths that nobody caused
sharing_rules.py order of keys, capacity of resources, and who is called
ledger_rules.py what is pruned, the end of the log, latches against rows
windows.py    when something was hurt
gone_rows.py  a trigger that keeps what is deleted
planted.py    a good history, into which tests plant violations
switch_rules.py who may lift whose kill, how soon one says something, and the log of changes
times.py      from a process's own clock to the one that all share
evidence.py   what the checker reads, collected from files and stores
side_by_side/ the same faults on bare Celery and behind rollout
figures.py    the table of faults and reports/crash.json
"""
