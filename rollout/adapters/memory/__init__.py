"""The ports in the memory of one process: for scripts, simulations and tests."""
