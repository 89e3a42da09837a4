"""What people do to the control state."""
