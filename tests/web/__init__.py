"""Page and API through their front door."""
