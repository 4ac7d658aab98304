"""Types of kcore.gzip_stream; what it does is said in gzip_stream.pyx."""

def use_zlib_directly(on: bool) -> None:
    """For tests: whether zlib's own functions are called where they are found."""
