"""What may happen by itself, and when."""
