"""Tests of `rollout.execution`."""
