"""The API: what can be looked at and done, and what is refused."""
