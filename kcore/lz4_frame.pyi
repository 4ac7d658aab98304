"""Types of kcore.lz4_frame; what it does is said in lz4_frame.pyx."""

class Lz4Reader:
    """A decompression context; its methods are compiled ones."""

def use_lz4_writer_directly(on: bool) -> bool:
    """For tests: whether liblz4's own functions write where they are found; returns whether they do
    now.
    """
