from libc.stdint cimport int64_t

cdef enum:
    CODEC_NONE = 0
    CODEC_GZIP = 1
    CODEC_SNAPPY = 2
    CODEC_LZ4 = 3
    CODEC_ZSTD = 4

# Level of a codec that the caller has no wish about.
cdef enum:
    LEVEL_DEFAULT = -2147483648

# The payload as an object with a length and a buffer, of at most bytes_max bytes. Raises DecompressionFailed, DecompressedTooLarge,
# UnsupportedCompression.
cdef object decompress_payload(int codec, object payload, int64_t bytes_max)
# The same as something to hand out to Python.
cdef object decompress_view(int codec, object payload, int64_t bytes_max)
# Raises UnsupportedCompression, ValueError for a level that the codec does not have.
cdef object compress_payload(int codec, object payload, int level)
