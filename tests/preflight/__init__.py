"""What a preflight finds before the first job moves."""
