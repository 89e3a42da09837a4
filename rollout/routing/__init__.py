"""Which path a job takes, and the control state that says so."""
