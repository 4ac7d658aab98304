"""Maps are inner parts of segments; only the debug counter is for everybody."""

def mappings_open() -> int:
    """How many maps this process holds now: a counter that must end where it began."""
