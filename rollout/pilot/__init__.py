"""One sub-pipeline on trial: what was seen of it, and what follows. Values in, values out."""
