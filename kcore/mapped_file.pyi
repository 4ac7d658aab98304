"""Maps are inner parts of segments; only the debug counters are for everybody."""

def mappings_open() -> int:
    """How many maps this process holds now: a counter that must end where it began."""

def residency_asked() -> int:
    """How often the kernel was asked whether pages are in memory."""

def set_faults_reach(reach: str) -> None:
    """What maps made from now on take for granted: "page", "folio", or "look", which is neither.

    For tests.
    """
