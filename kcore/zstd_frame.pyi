"""Types of kcore.zstd_frame; what it does is said in zstd_frame.pyx."""

class ZstdReader:
    """A decompression context; its methods are compiled ones."""

class ZstdWriter:
    """A compression context; its methods are compiled ones."""

def use_zstd_directly(on: bool) -> bool:
    """For tests: whether libzstd's own functions are called where they are found; returns whether
    they are now.
    """
