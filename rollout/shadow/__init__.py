"""Copies of legacy jobs on the concurrent path: run, compared, never committed."""
