"""`python -m rollout` is the same as `rollout`."""

from rollout.cli import main

main()
