"""The watch for incidents on recorded series: what it finds, misses and finds beside the labels."""
