"""Readers: lines or a parsed document in, rows of a `JobLog` out. One module per kind of file."""
