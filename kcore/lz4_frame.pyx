# cython: freethreading_compatible=True
"""LZ4 frames, read and written by liblz4 without the GIL from the first byte to the last.

python-lz4 decompresses without the GIL, but into fresh memory, and copies that into a byte string with the GIL held:
two threads that validated batches of 1 MiB got 1.2 times as far as one. Its compiled module carries liblz4 and shows
the library's own functions (or is linked to a library that does), so they are called here as C functions, with memory
that is used again for the output. Nothing is coded by ourselves. Where a library does not show what writes, compression.pyx
takes the binding for that.

    frame    magic:4  FLG:1  BD:1  [content size:8]  HC:1  block*  0:4  [content checksum:4]
    block    size:4 (highest bit: not compressed)  bytes  [block checksum:4]

The walk over a frame's blocks bounds the output before there is any, and refuses what Java's reader takes otherwise
than liblz4: linked blocks, an empty block, bytes after the frame.

Sources: the LZ4 frame format, lz4frame.h; KIP-57.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memset

from kcore.dlfcn cimport RTLD_NOW, dlopen, dlsym
from kcore.endian cimport load_le32

cdef extern from *:
    """
    #include <stddef.h>
    typedef size_t (*kcore_lz4f_create)(void **context, unsigned version);
    typedef size_t (*kcore_lz4f_free)(void *context);
    typedef size_t (*kcore_lz4f_decompress)(void *context, void *to, size_t *to_size, const void *from, size_t *from_size,
                                            const void *options);
    typedef unsigned (*kcore_lz4f_is_error)(size_t code);
    typedef const char *(*kcore_lz4f_error_name)(size_t code);
    /* LZ4F_preferences_t with its LZ4F_frameInfo_t; what came later took the place of reserved fields. */
    typedef struct {
        int block_size;             /* 4: 64 KiB */
        int independent;
        int content_checksum;
        int skippable;
        unsigned long long content_size;
        unsigned dictionary;
        int block_checksum;
        int level;
        unsigned flush;
        unsigned fast_to_read;
        unsigned reserved[3];
    } kcore_lz4f_wishes;
    typedef size_t (*kcore_lz4f_bound)(size_t size, const kcore_lz4f_wishes *wishes);
    typedef size_t (*kcore_lz4f_compress)(void *to, size_t room, const void *from, size_t size,
                                          const kcore_lz4f_wishes *wishes);
    """
    ctypedef size_t (*kcore_lz4f_create)(void** context, unsigned version) noexcept nogil
    ctypedef size_t (*kcore_lz4f_free)(void* context) noexcept nogil
    ctypedef size_t (*kcore_lz4f_decompress)(
        void* context, void* to, size_t* to_size, const void* source, size_t* source_size, const void* options
    ) noexcept nogil
    ctypedef unsigned (*kcore_lz4f_is_error)(size_t code) noexcept nogil
    ctypedef const char* (*kcore_lz4f_error_name)(size_t code) noexcept nogil
    ctypedef struct kcore_lz4f_wishes:
        int block_size, independent, level
    ctypedef size_t (*kcore_lz4f_bound)(size_t size, const kcore_lz4f_wishes* wishes) noexcept nogil
    ctypedef size_t (*kcore_lz4f_compress)(
        void* to, size_t room, const void* source, size_t size, const kcore_lz4f_wishes* wishes
    ) noexcept nogil

cdef enum:
    MAGIC = 0x184D2204
    LZ4F_VERSION = 100              # of the interface; the library's own has been compatible since 2015
    HEADER_BYTES_MIN = 7
    FLAG_CONTENT_CHECKSUM = 0x04
    FLAG_CONTENT_SIZE = 0x08
    FLAG_BLOCK_CHECKSUM = 0x10
    FLAG_INDEPENDENT = 0x20
    BLOCKS_OF_64_KIB = 4
    RATIO_MAX = 255                 # a length byte adds 255 at most

cdef uint32_t STORED = 0x80000000U  # of a block's size: its bytes are not compressed

cdef kcore_lz4f_create create_context = NULL
cdef kcore_lz4f_free free_context = NULL
cdef kcore_lz4f_decompress decompress_some = NULL
cdef kcore_lz4f_is_error is_error = NULL
cdef kcore_lz4f_error_name error_name = NULL
cdef kcore_lz4f_bound frame_bound = NULL
cdef kcore_lz4f_compress compress_frame = NULL
cdef bint writing = True


def use_lz4_writer_directly(bint on):
    """For tests: whether liblz4's own functions write where they are found, which is so from the start; returns
    whether they do now."""
    global writing
    writing = on
    return lz4_writer_load()


cdef void* _function(void* library, bytes name) except NULL:
    cdef void* found = dlsym(library, name)
    if found == NULL:
        raise ImportError(f"lz4's compiled module shows no {name.decode()}: install lz4 from PyPI")
    return found


cdef int lz4_load() except -1:
    global create_context, free_context, decompress_some, is_error, error_name, frame_bound, compress_frame
    cdef void* library
    if create_context != NULL:
        return 0
    import os

    from lz4.frame import _frame

    path = os.fsencode(_frame.__file__)
    # Never closed: the interpreter does not unload its modules either.
    library = dlopen(path, RTLD_NOW)
    if library == NULL:
        raise ImportError(f"{_frame.__file__} cannot be opened a second time")
    free_context = <kcore_lz4f_free>_function(library, b"LZ4F_freeDecompressionContext")
    decompress_some = <kcore_lz4f_decompress>_function(library, b"LZ4F_decompress")
    is_error = <kcore_lz4f_is_error>_function(library, b"LZ4F_isError")
    error_name = <kcore_lz4f_error_name>_function(library, b"LZ4F_getErrorName")
    compress_frame = <kcore_lz4f_compress>dlsym(library, b"LZ4F_compressFrame")
    frame_bound = <kcore_lz4f_bound>dlsym(library, b"LZ4F_compressFrameBound")
    create_context = <kcore_lz4f_create>_function(library, b"LZ4F_createDecompressionContext")
    return 0


cdef bint lz4_writer_load() except -1:
    lz4_load()
    return writing and compress_frame != NULL and frame_bound != NULL


cdef inline kcore_lz4f_wishes _wishes(int level) noexcept nogil:
    """The frame that Kafka's clients write: blocks of 64 KiB that are independent, no checksums, no content size."""
    cdef kcore_lz4f_wishes wishes
    memset(&wishes, 0, sizeof(wishes))
    wishes.block_size = BLOCKS_OF_64_KIB
    wishes.independent = 1
    wishes.level = level
    return wishes


cdef int64_t lz4_room(Py_ssize_t n) noexcept nogil:
    cdef kcore_lz4f_wishes wishes = _wishes(0)
    return <int64_t>frame_bound(<size_t>n, &wishes)


cdef int64_t lz4_encode(const uint8_t* p, Py_ssize_t n, int level, uint8_t* to, int64_t room,
                        const char** wrong) noexcept nogil:
    cdef kcore_lz4f_wishes wishes = _wishes(level)
    cdef size_t code = compress_frame(to, <size_t>room, p, <size_t>n, &wishes)
    if is_error(code):
        wrong[0] = error_name(code)
        return -1
    return <int64_t>code


cdef const char* lz4_bound(const uint8_t* p, Py_ssize_t n, int64_t* bound) noexcept nogil:
    cdef Py_ssize_t at = HEADER_BYTES_MIN
    cdef uint32_t size
    cdef int64_t full
    cdef uint8_t flags
    bound[0] = 0
    if n < HEADER_BYTES_MIN or load_le32(p) != MAGIC:
        return "no frame"
    flags = p[4]
    if flags >> 6 != 1 or flags & 0x03:
        return "a frame of an unknown version or with a dictionary"
    if not flags & FLAG_INDEPENDENT:
        return "linked blocks"
    if p[5] & 0x8F or p[5] >> 4 < 4:
        return "an unknown block size"
    full = <int64_t>1 << (8 + 2 * (p[5] >> 4))
    if flags & FLAG_CONTENT_SIZE:
        at += 8
    while True:
        if n - at < 4:
            return "the frame is cut short"
        size = load_le32(p + at)
        at += 4
        if size == 0:
            break
        if size == STORED:
            return "an empty block"
        if (size & ~STORED) > full or n - at < <int64_t>(size & ~STORED):
            return "a block that leaves its frame"
        if size & STORED:
            size &= ~STORED
            bound[0] += size
        else:
            bound[0] += min(full, <int64_t>size * RATIO_MAX)
        at += size + (4 if flags & FLAG_BLOCK_CHECKSUM else 0)
    if flags & FLAG_CONTENT_CHECKSUM:
        at += 4
    if at != n:
        return "bytes after the frame" if at < n else "the frame is cut short"
    return NULL


cdef class Lz4Reader:
    """See the declaration."""

    def __dealloc__(self):
        if self.context != NULL:
            free_context(self.context)

    cdef const char* decode(self, const uint8_t* p, Py_ssize_t n, uint8_t* to, int64_t room, int64_t* filled) noexcept nogil:
        cdef size_t code, written, taken
        cdef Py_ssize_t at = 0
        cdef int64_t total = 0
        filled[0] = -1
        while True:
            written = <size_t>(room + LZ4_SLACK_BYTES - total)
            taken = <size_t>(n - at)
            code = decompress_some(self.context, to + total, &written, p + at, &taken, NULL)
            if is_error(code):
                return error_name(code)
            total += <int64_t>written
            at += <Py_ssize_t>taken
            if total > room:
                return NULL
            if code == 0:
                break
            if written == 0 and taken == 0:
                return "the frame does not end"
        if at != n:
            return "bytes after the frame"
        filled[0] = total
        return NULL


cdef Lz4Reader lz4_reader():
    cdef Lz4Reader made = Lz4Reader.__new__(Lz4Reader)
    lz4_load()
    if is_error(create_context(&made.context, LZ4F_VERSION)):
        raise MemoryError
    return made
