"""Types of kcore.gzip_stream; what it does is said in gzip_stream.pyx."""

class GunzipReader:
    """An inflate state; its methods are compiled ones."""

def use_zlib_directly(on: bool) -> None:
    """For tests: whether zlib's own functions are called where they are found."""
