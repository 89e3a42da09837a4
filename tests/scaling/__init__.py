"""What twice the workers buy."""
