"""What twice the workers buy: slices of real runs in, ratios, a class and what limits it out.

Pure. `rollout.up.scale_test` runs the slices, in processes of its own.
"""
