"""One job's way: filed, claimed, run, committed, handed over."""
