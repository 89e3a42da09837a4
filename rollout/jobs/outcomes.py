"""Results of a committed job that stand for no value."""

NOT_KEPT = '{"rollout": "the result was none that JSON carries"}'
"""The caller got it from the attempt that made it; nobody else can."""
FORGOTTEN = '{"rollout": "the path told the queue engine to forget its job"}'
"""There is none: it was replaced by another task, or ignored, or rejected."""
