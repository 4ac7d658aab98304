"""Maps are inner parts of segments; only the debug counters are for everybody."""

def mappings_open() -> int:
    """How many maps this process holds now: a counter that must end where it began."""

def residency_asked() -> int:
    """How often the kernel was asked whether pages are in memory."""
