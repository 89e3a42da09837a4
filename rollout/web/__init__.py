"""The page for the person on call, and the API under it: one more shell over the same services."""
