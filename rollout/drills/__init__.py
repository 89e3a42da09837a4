"""Forced failures: planted, watched, healed, scored."""
