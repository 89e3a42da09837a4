"""What a person wants to know, composed once."""
