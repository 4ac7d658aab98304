# cython: freethreading_compatible=True
"""The codecs of record batches: gzip, snappy, lz4 and zstd, as Java and librdkafka write and read them.

- gzip: RFC 1952, members one after the other, read by gzip_stream.pyx.
- snappy: read in xerial's framing (a 16-byte header, then blocks behind a big-endian length, which is what
  Java writes) and bare (what librdkafka writes); written in xerial's framing, blocks of 32 KiB.
- lz4: one frame of independent blocks, read by lz4_frame.pyx; written with 64 KiB blocks and neither checksums nor
  content size. Linked blocks are refused: Java's reader cannot read them, so a broker must not store them.
- zstd: frames one after the other; windows up to 128 MiB, as Java's reader allows. What level 22 of Java's writer
  makes announces such a window however small the batch is; the memory touched stays that of the output.

Nothing is decompressed beyond the caller's limit, and nothing is allocated for a length that the input
merely claims: lz4 and zstd are walked block by block first for the most they can hold, snappy's claim is held against
the best ratio of its format. The libraries do their work without the GIL. What Java's readers pass
over in silence (bytes after the end of the stream) is refused, since readers differ in what they make of it.
"""

import enum
import zlib

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from libc.string cimport memcmp, memcpy

from kcore.endian cimport load_be32, store_be32
from kcore.gzip_stream cimport (
    GUNZIP_BROKEN, GUNZIP_CUT, GUNZIP_DONE, GUNZIP_FULL, GUNZIP_SLACK_BYTES, GunzipOutcome, GunzipReader, gunzip_load,
    gunzip_reader,
)
from kcore.lz4_frame cimport LZ4_SLACK_BYTES, Lz4Reader, lz4_bound, lz4_reader

from kcore.errors import DecompressedTooLarge, DecompressionFailed, UnsupportedCompression

# Loaded when first used: each of them takes milliseconds to import.
cdef object _lz4_frame = None
cdef object _zstandard = None
cdef object _snappy_compress = None
cdef object _snappy_decompress = None
cdef object _snappy_error = None
cdef object _zstd_error = None

# Contexts cost more to make than a small batch costs to (de)compress, and are not for two threads at once: who needs
# one takes it out of its pool, and puts it back unless something went wrong with it.
cdef list _gunzip_readers = []
cdef list _lz4_readers = []
cdef list _zstd_decompressors = []
cdef list _rooms = []
cdef dict _zstd_compressors = {}            # level -> compressors

cdef enum:
    PyBUF_READ = 0x100
    PyBUF_WRITE = 0x200
    POOLED_MAX = 8                          # contexts of one kind, or level
    POOLED_BYTES_MAX = 8388608              # a context that has grown beyond this is let go
    XERIAL_BLOCK_BYTES = 32768
    XERIAL_HEADER_BYTES = 16
    ZSTD_BLOCK_BYTES_MAX = 131072
    GZIP_WINDOW_BYTES = 4096
    GZIP_RATIO_USUAL = 32                   # what a member says of its size is believed up to there, at first
    GZIP_ROOM_BYTES_MIN = 65536
    ZSTD_WINDOW_BYTES_MAX = 134217728
    LIMIT_BYTES_MAX = 2147483647       # no batch's payload can be used beyond this, since lengths are int32
    # A snappy copy of 3 bytes makes 64 at most.
    SNAPPY_RATIO_MAX = 22
    NOGIL_BYTES = 65536                     # from here on the work takes longer than handing the GIL over and back
    ROOM_BYTES_MIN = 65536                  # less is at hand in malloc
    ROOMS_MAX = 4                           # outputs kept to be used again, as many as work at a time
    ROOM_BYTES_MAX = 2097152                # a larger one is let go

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"


class Codec(enum.IntEnum):
    """The codec numbers of a batch's attributes, by the names of compression.type."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


# codec -> (default level, smallest, largest), as Kafka's compression.*.level; gzip's -1 is zlib's own default.
LEVELS = {1: (-1, 1, 9), 3: (9, 1, 17), 4: (3, -131072, 22)}


cdef inline uint32_t _le32(const uint8_t* p) noexcept nogil:
    return <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef object _too_large(int64_t bytes_max):
    return DecompressedTooLarge(f"the payload decompresses to more than {bytes_max} bytes")


# --------------------------------------------------------------------------------------------- output

@cython.final
@cython.no_gc
cdef class _Room:
    """A decompressed payload in memory that is used again: its pages are there already, where fresh memory of this
    size is mapped, filled with zeros page by page and unmapped for each batch, all threads waiting for one another."""
    cdef bytearray memory
    cdef uint8_t* data
    cdef Py_ssize_t length

    def __len__(self):
        return self.length

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.length, True, flags)

    def __dealloc__(self):
        # No memory: there was none. No list: the interpreter is ending.
        if self.memory is None or _rooms is None or len(_rooms) >= ROOMS_MAX:
            return
        if ROOM_BYTES_MIN <= len(self.memory) <= ROOM_BYTES_MAX:
            _rooms.append(self.memory)


cdef _Room _room(Py_ssize_t n, Py_ssize_t slack):
    """Room for n bytes, and as many more as the caller's copies run over."""
    cdef _Room room = _Room.__new__(_Room)
    if n >= ROOM_BYTES_MIN:
        try:
            room.memory = _rooms.pop()
        except IndexError:
            pass
    if room.memory is None or len(room.memory) < n + slack:
        # Not filled with zeros first: who writes says how much of it is an output.
        room.memory = PyByteArray_FromStringAndSize(NULL, n + slack)
    room.data = <uint8_t*>PyByteArray_AS_STRING(room.memory)
    return room


# ---------------------------------------------------------------------------------------------- gzip

cdef object _gunzip(object payload, int64_t bytes_max):
    cdef const uint8_t[::1] view = payload
    cdef Py_ssize_t n = view.shape[0]
    cdef int64_t size
    cdef GunzipReader reader
    cdef GunzipOutcome outcome
    cdef const uint8_t* p
    cdef _Room room, larger
    if n == 0:
        raise DecompressionFailed("gzip: the stream is cut short")
    if not gunzip_load():
        return _gunzip_by_binding(payload, bytes_max)
    p = &view[0]
    try:
        reader = <GunzipReader>_gunzip_readers.pop()
    except IndexError:
        reader = gunzip_reader()
    reader.begin()
    # What the last member says of its size. When it is not that, there will be more room, or less is filled.
    size = <int64_t>_le32(&view[n - 4]) if n >= 4 else 0
    size = min(size, max(n * <int64_t>GZIP_RATIO_USUAL, <int64_t>GZIP_ROOM_BYTES_MIN), bytes_max)
    room = _room(size, GUNZIP_SLACK_BYTES)
    while True:
        if size >= NOGIL_BYTES:
            with nogil:
                outcome = reader.decode(p, n, room.data, size)
        else:
            outcome = reader.decode(p, n, room.data, size)
        if outcome != GUNZIP_FULL or size >= bytes_max:
            break
        size = min(max(4 * size, <int64_t>GZIP_ROOM_BYTES_MIN), bytes_max)
        larger = _room(size, GUNZIP_SLACK_BYTES)
        memcpy(larger.data, room.data, reader.filled)
        room = larger
    room.length = reader.filled
    wrong = reader.wrong.decode("ascii") if outcome == GUNZIP_BROKEN else "the stream is cut short"
    if len(_gunzip_readers) < POOLED_MAX:
        _gunzip_readers.append(reader)
    if outcome == GUNZIP_FULL:
        raise _too_large(bytes_max)
    if outcome != GUNZIP_DONE:
        raise DecompressionFailed(f"gzip: {wrong}")
    return room


cdef object _gunzip_by_binding(object payload, int64_t bytes_max):
    """The same where zlib's functions are not to be found."""
    cdef const uint8_t[::1] view = payload
    cdef Py_ssize_t at = 0, n = view.shape[0], window = n
    cdef int64_t left = bytes_max, expected
    cdef list parts = []
    source = memoryview(payload)
    # What the last member says of its size. Held to as the first limit, it keeps zlib's binding from taking memory
    # in steps far beyond it; when it is not the size of a member, more is asked for.
    expected = <int64_t>_le32(&view[n - 4]) if n >= 4 else 0
    while True:
        stream = zlib.decompressobj(31)
        while not stream.eof:
            if at >= n:
                # The limit cannot be what stopped it: the end of a member is read after its output.
                raise DecompressionFailed("gzip: the stream is cut short")
            chunk = source[at : at + window]
            try:
                part = stream.decompress(chunk, min(left, expected) + 1)
            except zlib.error as error:
                raise DecompressionFailed(f"gzip: {error}") from None
            if len(part) > left:
                raise _too_large(bytes_max)
            parts.append(part)
            left -= len(part)
            at += len(chunk) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
            expected = left
            window *= 2
        if at == n:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        # The binding copies whatever it is given beyond the end: of many small members that must not be all the rest.
        window = GZIP_WINDOW_BYTES


# -------------------------------------------------------------------------------------------- snappy

cdef int _load_snappy() except -1:
    global _snappy_compress, _snappy_decompress, _snappy_error
    if _snappy_compress is None:
        import cramjam

        _snappy_error = cramjam.DecompressionError
        _snappy_decompress = cramjam.snappy.decompress_raw_into
        _snappy_compress = cramjam.snappy.compress_raw_into
    return 0


cdef int64_t _snappy_claim(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """The length that a bare snappy block says it decompresses to; -1 when it cannot be true."""
    cdef uint64_t length = 0
    cdef int shift = 0
    cdef Py_ssize_t i = 0
    while True:
        if i >= n or shift > 28:
            return -1
        length |= (<uint64_t>(p[i] & 0x7F)) << shift
        i += 1
        if p[i - 1] < 0x80:
            break
        shift += 7
    if length > <uint64_t>0xFFFFFFFFU or length > <uint64_t>(n - i) * SNAPPY_RATIO_MAX:
        return -1
    return <int64_t>length


cdef int64_t _xerial_claim(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """The sum of what the blocks of xerial's framing claim; -1 when the framing is broken.

    A header may come again wherever a block may begin: writers' outputs may stand one after the other."""
    cdef Py_ssize_t at = XERIAL_HEADER_BYTES
    cdef int64_t total = 0, claim
    cdef uint32_t size
    while at < n:
        if n - at < 4:
            return -1
        size = load_be32(p + at)
        if size == <uint32_t>0x82534E41U and n - at >= XERIAL_HEADER_BYTES:
            at += XERIAL_HEADER_BYTES
            continue
        at += 4
        if size > <uint64_t>(n - at):
            return -1
        claim = _snappy_claim(p + at, <Py_ssize_t>size)
        if claim < 0:
            return -1
        total += claim
        at += <Py_ssize_t>size
    return total


cdef int _unsnappy_block(const uint8_t* p, Py_ssize_t n, uint8_t* to, Py_ssize_t claim) except -1:
    try:
        written = _snappy_decompress(
            PyMemoryView_FromMemory(<char*>p, n, PyBUF_READ), PyMemoryView_FromMemory(<char*>to, claim, PyBUF_WRITE)
        )
    except _snappy_error as error:
        raise DecompressionFailed(f"{error}") from None
    if written != claim:
        raise DecompressionFailed("snappy: a block holds less than it claims")
    return 0


cdef object _unsnappy(object payload, int64_t bytes_max):
    cdef const uint8_t[::1] view = payload
    cdef Py_ssize_t n = view.shape[0], at, filled = 0, size
    cdef int64_t total, claim
    cdef _Room output
    cdef bint framed
    _load_snappy()
    framed = n >= XERIAL_HEADER_BYTES and memcmp(&view[0], PyBytes_AS_STRING(XERIAL_MAGIC), 8) == 0
    total = _xerial_claim(&view[0], n) if framed else _snappy_claim(&view[0], n) if n else -1
    if total < 0:
        raise DecompressionFailed("snappy: the lengths of the blocks cannot be true")
    if total > bytes_max:
        raise _too_large(bytes_max)
    output = _room(total, 0)
    output.length = total
    if not framed:
        _unsnappy_block(&view[0], n, output.data, total)
        return output
    at = XERIAL_HEADER_BYTES
    while at < n:
        size = <Py_ssize_t>load_be32(&view[at])
        if size == <uint32_t>0x82534E41U and n - at >= XERIAL_HEADER_BYTES:
            at += XERIAL_HEADER_BYTES
            continue
        at += 4
        claim = _snappy_claim(&view[at], size)
        _unsnappy_block(&view[at], size, output.data + filled, claim)
        filled += <Py_ssize_t>claim
        at += size
    return output


cdef object _snap(object payload):
    """xerial's framing, block by block into one piece of memory that has room for the worst."""
    cdef const uint8_t[::1] view = payload
    cdef Py_ssize_t at, block, n = view.shape[0], filled = XERIAL_HEADER_BYTES, written
    cdef Py_ssize_t blocks = (n + XERIAL_BLOCK_BYTES - 1) // XERIAL_BLOCK_BYTES
    cdef uint8_t* output
    _load_snappy()
    room = PyBytes_FromStringAndSize(NULL, XERIAL_HEADER_BYTES + blocks * (4 + 32) + n + n // 6)
    output = <uint8_t*>PyBytes_AS_STRING(room)
    memcpy(output, PyBytes_AS_STRING(XERIAL_HEADER), XERIAL_HEADER_BYTES)
    for at in range(0, n, XERIAL_BLOCK_BYTES):
        block = min(n - at, <Py_ssize_t>XERIAL_BLOCK_BYTES)
        written = _snappy_compress(
            PyMemoryView_FromMemory(<char*>&view[at], block, PyBUF_READ),
            PyMemoryView_FromMemory(<char*>output + filled + 4, 32 + block + block // 6, PyBUF_WRITE),
        )
        store_be32(output + filled, <uint32_t>written)
        filled += 4 + written
    return memoryview(room)[:filled]


# ----------------------------------------------------------------------------------------------- lz4

cdef int _load_lz4() except -1:
    global _lz4_frame
    if _lz4_frame is None:
        import lz4.frame

        _lz4_frame = lz4.frame
    return 0


cdef object _unlz4(object payload, int64_t bytes_max):
    cdef const uint8_t[::1] view = payload
    cdef int64_t bound = 0, filled = 0
    cdef const char* wrong
    cdef _Room room
    cdef Lz4Reader reader
    cdef const uint8_t* frame
    cdef Py_ssize_t n = view.shape[0]
    if n == 0:
        raise DecompressionFailed("lz4: no frame")
    frame = &view[0]
    wrong = lz4_bound(frame, n, &bound)
    if wrong == NULL:
        bound = min(bound, bytes_max)
        room = _room(bound, LZ4_SLACK_BYTES)
        try:
            reader = <Lz4Reader>_lz4_readers.pop()
        except IndexError:
            reader = lz4_reader()
        if bound >= NOGIL_BYTES:
            with nogil:
                wrong = reader.decode(frame, n, room.data, bound, &filled)
        else:
            wrong = reader.decode(frame, n, room.data, bound, &filled)
        if wrong == NULL and filled >= 0 and len(_lz4_readers) < POOLED_MAX:
            _lz4_readers.append(reader)
    if wrong != NULL:
        raise DecompressionFailed(f"lz4: {wrong.decode('ascii')}")
    if filled < 0:
        raise _too_large(bytes_max)
    room.length = filled
    return room


cdef object _lz4(object payload, int level):
    _load_lz4()
    # Kafka's default level is lz4's fast compressor; every other is the high compressor, which in lz4's own
    # numbers begins at 3 and ends at 12.
    return _lz4_frame.compress(
        payload,
        compression_level=0 if level == 9 else min(max(level, 3), 12),
        block_size=_lz4_frame.BLOCKSIZE_MAX64KB,
        block_linked=False,
        content_checksum=False,
        block_checksum=False,
        store_size=False,
    )


# ---------------------------------------------------------------------------------------------- zstd

cdef int _load_zstd() except -1:
    global _zstandard, _zstd_error
    if _zstandard is None:
        import zstandard

        _zstd_error = zstandard.ZstdError
        _zstandard = zstandard
    return 0


cdef const char* _zstd_frame(const uint8_t* p, Py_ssize_t n, Py_ssize_t* frame_bytes,
                             int64_t* bound, bint* exact, bint* skippable) noexcept nogil:
    """Walk the frame at p: its size, and the most that its blocks can hold, or what its header says (exact; a lie is
    found out when it is decompressed). Returns what is wrong, or NULL."""
    cdef Py_ssize_t at = 5
    cdef uint32_t header, size
    cdef uint64_t window = 0, content = 0
    cdef int64_t block_max
    cdef int content_bytes, dictionary_bytes, i
    cdef uint8_t descriptor
    bound[0] = 0
    exact[0] = False
    skippable[0] = False
    if n < 5:
        return "the frame is cut short"
    header = _le32(p)
    if header & <uint32_t>0xFFFFFFF0U == <uint32_t>0x184D2A50:
        skippable[0] = True
        if n < 8 or <uint64_t>_le32(p + 4) > <uint64_t>(n - 8):
            return "the frame is cut short"
        frame_bytes[0] = 8 + <Py_ssize_t>_le32(p + 4)
        return NULL
    if header != <uint32_t>0xFD2FB528U:
        return "no frame"
    descriptor = p[4]
    if descriptor & 0x08:
        return "a reserved bit is set"
    dictionary_bytes = (1 << (descriptor & 3)) >> 1
    content_bytes = 1 << (descriptor >> 6)
    if content_bytes == 1 and not descriptor & 0x20:
        content_bytes = 0
    if n - at < (0 if descriptor & 0x20 else 1) + dictionary_bytes + content_bytes:
        return "the frame is cut short"
    if not descriptor & 0x20:
        window = <uint64_t>1 << (10 + (p[at] >> 3))
        window += (window >> 3) * (p[at] & 7)
        at += 1
    for i in range(dictionary_bytes):
        if p[at + i] != 0:
            return "a dictionary"
    at += dictionary_bytes
    for i in range(content_bytes):
        content |= <uint64_t>p[at + i] << (8 * i)
    if content_bytes == 2:
        content += 256
    at += content_bytes
    if descriptor & 0x20:
        window = content
    if window > ZSTD_WINDOW_BYTES_MAX:
        return "a window of more than 128 MiB"
    block_max = <int64_t>min(window, <uint64_t>ZSTD_BLOCK_BYTES_MAX)
    while True:
        if n - at < 3:
            return "the frame is cut short"
        header = <uint32_t>p[at] | <uint32_t>p[at + 1] << 8 | <uint32_t>p[at + 2] << 16
        at += 3
        size = header >> 3
        if (header >> 1) & 3 == 3 or <int64_t>size > block_max:
            return "a block of an unknown kind or size"
        if (header >> 1) & 3 == 1:
            bound[0] += size
            size = 1
        else:
            bound[0] += <int64_t>size if (header >> 1) & 3 == 0 else block_max
        if n - at < <int64_t>size:
            return "the frame is cut short"
        at += size
        if header & 1:
            break
    if descriptor & 0x04:
        at += 4
        if at > n:
            return "the frame is cut short"
    if content_bytes:
        if content > <uint64_t>bound[0]:
            return "a content size that its blocks cannot hold"
        bound[0] = <int64_t>content
        exact[0] = True
    frame_bytes[0] = at
    return NULL


cdef object _unzstd(object payload, int64_t bytes_max):
    cdef const uint8_t[::1] view = payload
    cdef Py_ssize_t n = view.shape[0], at = 0, frame_bytes = 0
    cdef int64_t bound = 0, left = bytes_max
    cdef bint exact = False, skippable = False
    cdef const char* wrong
    cdef list parts = []
    _load_zstd()
    if n == 0:
        raise DecompressionFailed("zstd: no frame")
    try:
        machine = _zstd_decompressors.pop()
    except IndexError:
        machine = _zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    while at < n:
        wrong = _zstd_frame(&view[at], n - at, &frame_bytes, &bound, &exact, &skippable)
        if wrong != NULL:
            raise DecompressionFailed(f"zstd: {wrong.decode('ascii')}")
        if exact and bound > left:
            raise _too_large(bytes_max)
        if bound:
            try:
                frame = payload if frame_bytes == n else memoryview(payload)[at : at + frame_bytes]
                part = machine.decompress(frame, min(bound, left + 1))
            except _zstd_error as error:
                if bound > left:
                    # Its output did not fit, or it is broken: either way more than allowed was asked for.
                    raise _too_large(bytes_max) from None
                raise DecompressionFailed(f"zstd: {error}") from None
            if len(part) > left:
                raise _too_large(bytes_max)
            left -= len(part)
            parts.append(part)
        at += frame_bytes
    if len(_zstd_decompressors) < POOLED_MAX:
        _zstd_decompressors.append(machine)
    return parts[0] if len(parts) == 1 else b"".join(parts)


cdef object _zstd(object payload, int level):
    cdef list pool = _zstd_compressors.setdefault(level, [])
    _load_zstd()
    try:
        machine = pool.pop()
    except IndexError:
        machine = _zstandard.ZstdCompressor(level=level)
    output = machine.compress(payload)
    if len(pool) < POOLED_MAX and machine.memory_size() <= POOLED_BYTES_MAX:
        pool.append(machine)
    return output


# ----------------------------------------------------------------------------------------- all codecs

cdef object decompress_view(int codec, object payload, int64_t bytes_max):
    found = decompress_payload(codec, payload, bytes_max)
    return memoryview(found) if type(found) is _Room else found


cdef object decompress_payload(int codec, object payload, int64_t bytes_max):
    if codec == CODEC_NONE:
        if len(payload) > bytes_max:
            raise _too_large(bytes_max)
        return payload
    if bytes_max < 0:
        raise _too_large(bytes_max)
    # "No limit" is often the largest number there is, to which nothing can be added.
    bytes_max = min(bytes_max, <int64_t>LIMIT_BYTES_MAX)
    if codec == CODEC_GZIP:
        return _gunzip(payload, bytes_max)
    if codec == CODEC_SNAPPY:
        return _unsnappy(payload, bytes_max)
    if codec == CODEC_LZ4:
        return _unlz4(payload, bytes_max)
    if codec == CODEC_ZSTD:
        return _unzstd(payload, bytes_max)
    raise UnsupportedCompression(f"there is no codec {codec}")


cdef object compress_payload(int codec, object payload, int level):
    if codec < CODEC_NONE or codec > CODEC_ZSTD:
        raise UnsupportedCompression(f"there is no codec {codec}")
    if codec in LEVELS:
        default, smallest, largest = LEVELS[codec]
        if level == LEVEL_DEFAULT:
            level = default
        elif level != default and not smallest <= level <= largest:
            raise ValueError(f"{Codec(codec).name.lower()} has no level {level}")
    if codec == CODEC_NONE:
        return payload
    if codec == CODEC_GZIP:
        return zlib.compress(payload, level, 31)
    if codec == CODEC_SNAPPY:
        return _snap(payload)
    if codec == CODEC_LZ4:
        return _lz4(payload, level)
    return _zstd(payload, level)


cdef object _bytes_like(object payload):
    return payload if type(payload) is bytes else memoryview(payload).cast("B")


def decompress(codec, payload not None, *, bytes_max):
    """The decompressed payload as a bytes-like object of at most bytes_max bytes.

    Raises DecompressedTooLarge beyond the limit (without having decompressed more than that), DecompressionFailed for
    anything that is not one well-formed stream, UnsupportedCompression for another codec.
    """
    return decompress_view(codec, _bytes_like(payload), bytes_max)


def compress(codec, payload not None, level=None):
    """The payload compressed as Kafka's own clients do; level by Kafka's numbers, None for its default.

    Raises UnsupportedCompression for another codec, ValueError for a level that the codec does not have.
    """
    return compress_payload(codec, _bytes_like(payload), LEVEL_DEFAULT if level is None else level)
