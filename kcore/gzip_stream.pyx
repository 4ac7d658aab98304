# cython: freethreading_compatible=True
"""gzip members (RFC 1952), read by zlib without the GIL into memory that is used again.

The standard library's binding takes a limit for its output but no size: it fills blocks of its own, and joins them
with the GIL held. zlib is loaded with it, so zlib's functions are called here as C functions; where they cannot be
found (an interpreter that carries zlib and does not show it), compression.pyx takes the binding. Nothing is decoded by
ourselves, and zlib.h is not needed: z_stream has been laid out like this since zlib 1.0 (its users pass the size of the
struct, and zlib refuses another).
"""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free

from kcore.dlfcn cimport RTLD_NOW, dlopen, dlsym

cdef extern from *:
    """
    typedef struct {
        const unsigned char *next_in;
        unsigned int avail_in;
        unsigned long total_in;
        unsigned char *next_out;
        unsigned int avail_out;
        unsigned long total_out;
        const char *msg;
        void *state;
        void *zalloc;               /* NULL: malloc and free */
        void *zfree;
        void *opaque;
        int data_type;
        unsigned long adler;
        unsigned long reserved;
    } kcore_z_stream;
    typedef int (*kcore_inflate_init)(kcore_z_stream *stream, int window_bits, const char *version, int stream_size);
    typedef int (*kcore_inflate)(kcore_z_stream *stream, int flush);
    typedef int (*kcore_inflate_one)(kcore_z_stream *stream);
    typedef const char *(*kcore_zlib_version)(void);
    """
    ctypedef struct kcore_z_stream:
        const uint8_t* next_in
        unsigned int avail_in
        uint8_t* next_out
        unsigned int avail_out
        const char* msg
    ctypedef int (*kcore_inflate_init)(
        kcore_z_stream* stream, int window_bits, const char* version, int stream_size
    ) noexcept nogil
    ctypedef int (*kcore_inflate)(kcore_z_stream* stream, int flush) noexcept nogil
    ctypedef int (*kcore_inflate_one)(kcore_z_stream* stream) noexcept nogil
    ctypedef const char* (*kcore_zlib_version)() noexcept nogil

cdef enum:
    Z_OK = 0
    Z_STREAM_END = 1
    Z_BUF_ERROR = -5
    Z_NO_FLUSH = 0
    WINDOW_BITS_GZIP = 31
    STEP_BYTES_MAX = 1073741824     # zlib counts in 32 bits

cdef bint looked = False
cdef kcore_inflate_init inflate_init = NULL
cdef kcore_inflate inflate = NULL
cdef kcore_inflate_one inflate_reset = NULL
cdef kcore_inflate_one inflate_end = NULL
cdef kcore_zlib_version zlib_version = NULL


def use_zlib_directly(bint on):
    """For tests: whether zlib's own functions are called where they are found, which is so from the start."""
    global looked, inflate
    looked = not on
    if not on:
        inflate = NULL


cdef bint gunzip_load() except -1:
    global looked, inflate_init, inflate, inflate_reset, inflate_end, zlib_version
    cdef void* library
    cdef bytes path
    if looked:
        return inflate != NULL
    import os
    import zlib

    looked = True
    # What the module is linked to is searched, too. Never closed: the interpreter does not unload its modules either.
    path = os.fsencode(getattr(zlib, "__file__", None) or "")
    library = dlopen(<const char*>path if path else NULL, RTLD_NOW)
    if library == NULL:
        return False
    inflate_init = <kcore_inflate_init>dlsym(library, b"inflateInit2_")
    inflate_reset = <kcore_inflate_one>dlsym(library, b"inflateReset")
    inflate_end = <kcore_inflate_one>dlsym(library, b"inflateEnd")
    zlib_version = <kcore_zlib_version>dlsym(library, b"zlibVersion")
    if inflate_init != NULL and inflate_reset != NULL and inflate_end != NULL and zlib_version != NULL:
        inflate = <kcore_inflate>dlsym(library, b"inflate")
    return inflate != NULL


cdef class GunzipReader:
    """See the declaration."""

    def __dealloc__(self):
        if self.stream != NULL:
            inflate_end(<kcore_z_stream*>self.stream)
            free(self.stream)

    cdef void begin(self) noexcept nogil:
        inflate_reset(<kcore_z_stream*>self.stream)
        self.at = 0
        self.filled = 0
        self.wrong = NULL

    cdef GunzipOutcome decode(self, const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room) noexcept nogil:
        cdef kcore_z_stream* stream = <kcore_z_stream*>self.stream
        cdef int code
        cdef unsigned int given, wanted
        while True:
            given = <unsigned int>min(n - self.at, <Py_ssize_t>STEP_BYTES_MAX)
            wanted = <unsigned int>min(room + GUNZIP_SLACK_BYTES - self.filled, <int64_t>STEP_BYTES_MAX)
            stream.next_in = p + self.at
            stream.avail_in = given
            stream.next_out = to + self.filled
            stream.avail_out = wanted
            code = inflate(stream, Z_NO_FLUSH)
            self.at += given - stream.avail_in
            self.filled += wanted - stream.avail_out
            if self.filled > room:
                return GUNZIP_FULL
            if code == Z_STREAM_END:
                if self.at == n:
                    return GUNZIP_DONE
                inflate_reset(stream)
            elif code != Z_OK and code != Z_BUF_ERROR:
                # Of a broken stream zlib says what is wrong; otherwise its memory ran out.
                self.wrong = stream.msg
                if stream.msg == NULL:
                    self.wrong = b"no memory, or a preset dictionary is needed"
                return GUNZIP_BROKEN
            elif self.at == n and stream.avail_out > 0:
                return GUNZIP_CUT


cdef GunzipReader gunzip_reader():
    cdef GunzipReader made = GunzipReader.__new__(GunzipReader)
    cdef kcore_z_stream* stream = <kcore_z_stream*>calloc(1, sizeof(kcore_z_stream))
    if stream == NULL:
        raise MemoryError
    if inflate_init(stream, WINDOW_BITS_GZIP, zlib_version(), sizeof(kcore_z_stream)) != Z_OK:
        free(stream)
        raise MemoryError
    made.stream = stream
    return made
