"""Seeded simulations of the evidence tests: `python -m ops.evidence` prints and writes the table.

The simulations step all pilots of a row through time together, with a vectorised twin of the
tests in `rollout/evidence`; `tests/evidence/test_twin.py` shows that they agree.
"""
