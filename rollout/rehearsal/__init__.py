"""Rehearsals put together: jobs, a virtual clock, policies, and what others would have done."""
