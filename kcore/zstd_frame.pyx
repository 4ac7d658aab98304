# cython: freethreading_compatible=True
"""Zstandard frames (RFC 8878): the walk that bounds an output before there is any, and the writer.

The binding of python-zstandard writes into fresh memory, and its compiled module hides libzstd's functions. The wheel
carries the library once more, in `zstandard/_cffi`, which shows them: it is opened without being imported, and writes
the same bytes into memory that is used again. Where it is missing, is old, shows too little, or would call another
libzstd that the process has loaded for everybody, compression.pyx takes the binding. Nothing is coded by ourselves, and
zstd.h is not needed: what is called is libzstd's stable part.

Frames are read by the binding. `_cffi` takes 1.1 times as long for them: its functions call one another by name, so the
loop over the sequences calls one for each. The system's own libzstd is as fast as the binding or faster, but which
damaged frames a libzstd takes, and for what, differs from release to release (1.5.4 takes some that 1.5.7 refuses): two
nodes might not say the same of a batch.

    frame      magic:4  descriptor:1  [window:1]  [dictionary:0-4]  [content size:0-8]  block*  [checksum:4]
    block      header:3 (bit 0: the last; bits 1 and 2: stored, one byte repeated, compressed; then the size)  bytes
    skippable  magic:4 (its lowest 4 bits are free)  size:4  bytes

Sources: RFC 8878; zstd.h; KIP-110.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kcore.dlfcn cimport RTLD_DEFAULT, RTLD_NOW, dlopen, dlsym
from kcore.endian cimport load_le32

cdef extern from *:
    """
    #include <stddef.h>
    typedef void *(*kcore_zstd_create)(void);
    typedef size_t (*kcore_zstd_one)(void *context);
    typedef size_t (*kcore_zstd_set)(void *context, int parameter, int value);
    typedef size_t (*kcore_zstd_work)(void *context, void *to, size_t room, const void *from, size_t size);
    typedef size_t (*kcore_zstd_bound)(size_t size);
    typedef unsigned (*kcore_zstd_is_error)(size_t code);
    typedef const char *(*kcore_zstd_error_name)(size_t code);
    typedef unsigned (*kcore_zstd_version)(void);
    """
    ctypedef void* (*kcore_zstd_create)() noexcept nogil
    ctypedef size_t (*kcore_zstd_one)(void* context) noexcept nogil
    ctypedef size_t (*kcore_zstd_set)(void* context, int parameter, int value) noexcept nogil
    ctypedef size_t (*kcore_zstd_work)(
        void* context, void* to, size_t room, const void* source, size_t size
    ) noexcept nogil
    ctypedef size_t (*kcore_zstd_bound)(size_t size) noexcept nogil
    ctypedef unsigned (*kcore_zstd_is_error)(size_t code) noexcept nogil
    ctypedef const char* (*kcore_zstd_error_name)(size_t code) noexcept nogil
    ctypedef unsigned (*kcore_zstd_version)() noexcept nogil

cdef enum:
    MAGIC_SKIPPABLE = 0x184D2A50
    BLOCK_BYTES_MAX = 131072
    FLAG_CHECKSUM = 0x04
    FLAG_RESERVED = 0x08
    FLAG_SINGLE_SEGMENT = 0x20
    BLOCK_STORED = 0
    BLOCK_REPEATED = 1
    BLOCK_COMPRESSED = 2
    BLOCK_RESERVED = 3
    VERSION_MIN = 10400             # the first with a stable compress2
    PARAMETER_LEVEL = 100           # ZSTD_c_compressionLevel
    LEVEL_NONE = -2147483648        # of a writer that was not told any

cdef uint32_t MAGIC = 0xFD2FB528U
cdef uint32_t CHECKSUM_OF_NOTHING = 0x51D8E999U     # XXH64 of no bytes, its lower half

cdef kcore_zstd_create create_writer = NULL
cdef kcore_zstd_one free_writer = NULL
cdef kcore_zstd_one writer_bytes = NULL
cdef kcore_zstd_set set_writer = NULL
cdef kcore_zstd_work compress_all = NULL
cdef kcore_zstd_bound compress_bound = NULL
cdef kcore_zstd_is_error is_error = NULL
cdef kcore_zstd_error_name error_name = NULL

cdef bint wanted = True
cdef bint looked = False
cdef bint found = False


def use_zstd_writer_directly(bint on):
    """For tests: whether libzstd's own functions write where they are found, which is so from the start; returns
    whether they do now."""
    global wanted
    wanted = on
    return zstd_writer_load()


cdef bytes _library_path():
    """Where the module of the wheel is that shows libzstd; empty when there is none. Nothing is imported for it."""
    import os
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    package = find_spec("zstandard")
    if package is None or package.submodule_search_locations is None:
        return b""
    module = PathFinder.find_spec("zstandard._cffi", list(package.submodule_search_locations))
    return b"" if module is None or not module.has_location else os.fsencode(module.origin)


cdef bint _find(bytes path) noexcept:
    """Whether the library at this path is one to be used; its functions."""
    global create_writer, free_writer, writer_bytes, set_writer, compress_all, compress_bound, is_error, error_name
    cdef kcore_zstd_version version
    cdef void* everybodys
    # Never closed: the interpreter does not unload its modules either.
    cdef void* library = dlopen(path, RTLD_NOW)
    if library == NULL:
        return False
    version = <kcore_zstd_version>dlsym(library, b"ZSTD_versionNumber")
    if version == NULL or version() < VERSION_MIN:
        return False
    # The library calls its own functions by name. One of the same name that everybody sees would be called in its
    # place, on contexts of another version's layout.
    everybodys = dlsym(RTLD_DEFAULT, b"ZSTD_versionNumber")
    if everybodys != NULL and everybodys != <void*>version:
        return False
    create_writer = <kcore_zstd_create>dlsym(library, b"ZSTD_createCCtx")
    free_writer = <kcore_zstd_one>dlsym(library, b"ZSTD_freeCCtx")
    writer_bytes = <kcore_zstd_one>dlsym(library, b"ZSTD_sizeof_CCtx")
    set_writer = <kcore_zstd_set>dlsym(library, b"ZSTD_CCtx_setParameter")
    compress_all = <kcore_zstd_work>dlsym(library, b"ZSTD_compress2")
    compress_bound = <kcore_zstd_bound>dlsym(library, b"ZSTD_compressBound")
    is_error = <kcore_zstd_is_error>dlsym(library, b"ZSTD_isError")
    error_name = <kcore_zstd_error_name>dlsym(library, b"ZSTD_getErrorName")
    return (
        create_writer != NULL and free_writer != NULL and writer_bytes != NULL and set_writer != NULL
        and compress_all != NULL and compress_bound != NULL and is_error != NULL and error_name != NULL
    )


cdef bint zstd_writer_load() except -1:
    global looked, found
    if not looked:
        path = _library_path()
        found = bool(path) and _find(path)
        # Last: another thread may ask at the same time, and then finds the same once more.
        looked = True
    return found and wanted


cdef const char* _header(const uint8_t* p, Py_ssize_t n, ZstdFrame* frame, uint64_t* window,
                         uint64_t* content) noexcept nogil:
    """What is before the blocks: its length, the window, and the content size, where exact. Returns what is wrong, or
    NULL."""
    cdef Py_ssize_t at = 5
    cdef uint8_t descriptor = p[4]
    cdef bint single = descriptor & FLAG_SINGLE_SEGMENT
    cdef int dictionary_bytes = (1 << (descriptor & 3)) >> 1
    cdef int content_bytes = 1 << (descriptor >> 6)
    cdef int i
    if descriptor & FLAG_RESERVED:
        return "a reserved bit is set"
    if content_bytes == 1 and not single:
        content_bytes = 0
    if n - at < (0 if single else 1) + dictionary_bytes + content_bytes:
        return "the frame is cut short"
    if not single:
        window[0] = <uint64_t>1 << (10 + (p[at] >> 3))
        window[0] += (window[0] >> 3) * (p[at] & 7)
        at += 1
    for i in range(dictionary_bytes):
        if p[at + i] != 0:
            return "a dictionary"
    at += dictionary_bytes
    content[0] = 0
    for i in range(content_bytes):
        content[0] |= <uint64_t>p[at + i] << (8 * i)
    if content_bytes == 2:
        content[0] += 256
    if single:
        window[0] = content[0]
    if window[0] > ZSTD_WINDOW_BYTES_MAX:
        return "a window of more than 128 MiB"
    frame.exact = content_bytes > 0
    frame.length = at + content_bytes
    return NULL


cdef const char* zstd_frame(const uint8_t* p, Py_ssize_t n, ZstdFrame* frame) noexcept nogil:
    cdef Py_ssize_t at
    cdef uint32_t header, size, kind
    cdef uint64_t window = 0, content = 0
    cdef int64_t block_max, bound = 0
    cdef const char* wrong
    frame.bound = 0
    frame.exact = False
    if n < 5:
        return "the frame is cut short"
    header = load_le32(p)
    if header & <uint32_t>0xFFFFFFF0U == <uint32_t>MAGIC_SKIPPABLE:
        if n < 8 or <uint64_t>load_le32(p + 4) > <uint64_t>(n - 8):
            return "the frame is cut short"
        frame.length = 8 + <Py_ssize_t>load_le32(p + 4)
        return NULL
    if header != MAGIC:
        return "no frame"
    wrong = _header(p, n, frame, &window, &content)
    if wrong != NULL:
        return wrong
    at = frame.length
    block_max = <int64_t>min(window, <uint64_t>BLOCK_BYTES_MAX)
    while True:
        if n - at < 3:
            return "the frame is cut short"
        header = <uint32_t>p[at] | <uint32_t>p[at + 1] << 8 | <uint32_t>p[at + 2] << 16
        at += 3
        size = header >> 3
        kind = (header >> 1) & 3
        if kind == BLOCK_RESERVED or <int64_t>size > block_max or kind == BLOCK_COMPRESSED and block_max == 0:
            return "a block of an unknown kind or size"
        if kind == BLOCK_REPEATED:
            bound += size
            size = 1
        else:
            bound += <int64_t>size if kind == BLOCK_STORED else block_max
        if n - at < <int64_t>size:
            return "the frame is cut short"
        at += size
        if header & 1:
            break
    if p[4] & FLAG_CHECKSUM:
        at += 4
        if at > n:
            return "the frame is cut short"
    frame.length = at
    frame.bound = bound
    if frame.exact:
        if content > <uint64_t>bound:
            return "a content size that its blocks cannot hold"
        frame.bound = <int64_t>content
    # What holds nothing is not decompressed at all.
    if frame.bound == 0:
        if bound != 0:
            return "a content size of 0 before blocks that hold something"
        if p[4] & FLAG_CHECKSUM and load_le32(p + at - 4) != CHECKSUM_OF_NOTHING:
            return "a wrong checksum of nothing"
    return NULL


cdef class ZstdWriter:
    """See the declaration."""

    def __dealloc__(self):
        if self.context != NULL:
            free_writer(self.context)

    cdef int64_t encode(self, const uint8_t* p, Py_ssize_t n, int level, uint8_t* to, int64_t room) noexcept nogil:
        cdef size_t code = 0
        if level != self.level:
            code = set_writer(self.context, PARAMETER_LEVEL, level)
            self.level = level
        if not is_error(code):
            code = compress_all(self.context, to, <size_t>room, p, <size_t>n)
        if is_error(code):
            self.wrong = error_name(code)
            return -1
        return <int64_t>code

    cdef size_t memory_bytes(self) noexcept nogil:
        return writer_bytes(self.context)


cdef ZstdWriter zstd_writer():
    cdef ZstdWriter made = ZstdWriter.__new__(ZstdWriter)
    made.level = LEVEL_NONE
    made.context = create_writer()
    if made.context == NULL:
        raise MemoryError
    return made


cdef int64_t zstd_room(Py_ssize_t n) noexcept nogil:
    return <int64_t>compress_bound(<size_t>n)
