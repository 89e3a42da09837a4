"""Before the first job moves: which jobs of the last days would break on the way.

Pure: facts about the task and its jobs in, findings out. `rollout.up.preflight` collects the facts
and runs jobs in processes of their own.
"""
