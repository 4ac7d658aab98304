"""Types of kcore.zstd_frame; what it does is said in zstd_frame.pyx."""

class ZstdWriter:
    """A compression context; its methods are compiled ones."""

def use_zstd_writer_directly(on: bool) -> bool:
    """For tests: whether libzstd's own functions write where they are found; returns whether they
    do now.
    """
