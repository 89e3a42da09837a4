"""What is not shown unless somebody asks for it by name: what jobs were given, what they gave."""

MASKED = "(masked)"


def masked(text: str | None) -> str | None:
    """The mask over what is there; nothing stays nothing."""
    return None if text is None else MASKED
