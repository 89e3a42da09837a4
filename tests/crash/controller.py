"""A controller process: the product's own loop on the watched runtime."""

from rollout.up.controller import run
from tests.crash.app import runtime

if __name__ == "__main__":
    run(runtime)
