# cython: freethreading_compatible=True
"""The codecs of record batches: gzip, snappy, lz4 and zstd, as Java and librdkafka write and read them.

- gzip: RFC 1952, members one after the other, read by gzip_stream.pyx.
- snappy: read in xerial's framing (a 16-byte header, then blocks behind a big-endian length, which is what
  Java writes) and bare (what librdkafka writes); written in xerial's framing, blocks of 32 KiB.
- lz4: one frame of independent blocks, read and written by lz4_frame.pyx; written with 64 KiB blocks and neither
  checksums nor content size. Linked blocks are refused: Java's reader cannot read them, so a broker must not store them.
- zstd: frames one after the other, walked and written by zstd_frame.pyx, read by the binding; written with content
  size and no checksum; windows up to 128 MiB, as Java's reader allows. What level 22 of Java's writer makes announces
  such a window however small the batch is; the memory touched stays that of the output.

Nothing is decompressed beyond the caller's limit, and nothing is allocated for a length that the input
merely claims: lz4 and zstd are walked block by block first for the most they can hold, snappy's claim is held against
the best ratio of its format. The libraries do their work without the GIL. What Java's readers pass
over in silence (bytes after the end of the stream) is refused, since readers differ in what they make of it.
"""

import enum
import zlib

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from libc.string cimport memcmp, memcpy

from kcore.endian cimport load_be32, load_le32, store_be32
from kcore.gzip_stream cimport (
    GUNZIP_BROKEN, GUNZIP_CUT, GUNZIP_DONE, GUNZIP_FULL, GUNZIP_SLACK_BYTES, GunzipOutcome, GunzipReader, gunzip_load,
    gunzip_reader,
)
from kcore.lz4_frame cimport (
    LZ4_SLACK_BYTES, Lz4Reader, lz4_bound, lz4_encode, lz4_reader, lz4_room, lz4_writer_load,
)
from kcore.zstd_frame cimport (
    ZSTD_WINDOW_BYTES_MAX, ZstdFrame, ZstdWriter, zstd_frame, zstd_room, zstd_writer, zstd_writer_load,
)

from kcore.errors import DecompressedTooLarge, DecompressionFailed, UnsupportedCompression

# Loaded when first used: each of them takes milliseconds to import.
cdef object _zstandard = None
cdef object _snappy_compress = None
cdef object _snappy_decompress = None
cdef object _snappy_error = None
cdef object _zstd_error = None

# Contexts cost more to make than a small batch costs to (de)compress, and are not for two threads at once: who needs
# one takes it out of its pool, and puts it back unless something went wrong with it.
cdef list _gunzip_readers = []
cdef list _lz4_readers = []
cdef list _zstd_readers = []                # methods that decompress a frame
cdef list _zstd_writers = []
cdef dict _zstd_compressors = {}            # the binding's: level -> compressors
cdef list _rooms = []

cdef enum:
    POOLED_MAX = 8                          # contexts of one kind, or level
    POOLED_BYTES_MAX = 8388608              # a context that has grown beyond this is let go
    XERIAL_BLOCK_BYTES = 32768
    XERIAL_HEADER_BYTES = 16
    XERIAL_MAGIC_BYTES = 8
    GZIP_WINDOW_BYTES = 4096
    GZIP_RATIO_USUAL = 32                   # what a member says of its size is believed up to there, at first
    GZIP_ROOM_BYTES_MIN = 65536
    LIMIT_BYTES_MAX = 2147483647       # no batch's payload can be used beyond this, since lengths are int32
    # A snappy copy of 3 bytes makes 64 at most.
    SNAPPY_RATIO_MAX = 22
    NOGIL_BYTES = 65536                     # from here on the work takes longer than handing the GIL over and back
    NOGIL_SLOW_BYTES = 8192                 # the same for what compresses
    ZSTD_LEVEL_USUAL = 3                    # beyond this, and with lz4's high compressor, anything takes long
    ROOM_BYTES_MIN = 65536                  # less is at hand in malloc
    ROOMS_MAX = 4                           # outputs kept to be used again, as many as work at a time
    ROOM_BYTES_MAX = 2097152                # a larger one is let go

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
cdef bytes _xerial_header = XERIAL_HEADER


class Codec(enum.IntEnum):
    """The codec numbers of a batch's attributes, by the names of compression.type."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


# codec -> (default level, smallest, largest), as Kafka's compression.*.level; gzip's -1 is zlib's own default.
LEVELS = {1: (-1, 1, 9), 3: (9, 1, 17), 4: (3, -131072, 22)}


cdef object _too_large(int64_t bytes_max):
    return DecompressedTooLarge(f"the payload decompresses to more than {bytes_max} bytes")


# ---------------------------------------------------------------------------------------------- input

@cython.no_gc
@cython.freelist(8)
cdef class _Span:
    """Bytes in somebody else's memory, as C and the bindings take them. It costs less than a memory view, and is used
    again for the next block: whoever makes one sees to it that the memory stays and that no binding keeps it."""
    cdef uint8_t* data
    cdef Py_ssize_t length
    cdef bint writable

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.length, not self.writable, flags)


@cython.final
@cython.no_gc
cdef class _Input(_Span):
    """All bytes of an input, held for as long as it is there."""
    cdef Py_buffer held
    cdef bint holds

    def __dealloc__(self):
        if self.holds:
            PyBuffer_Release(&self.held)


cdef _Input _input(object payload):
    cdef _Input span = _Input.__new__(_Input)
    PyObject_GetBuffer(payload, &span.held, PyBUF_SIMPLE)
    span.holds = True
    span.data = <uint8_t*>span.held.buf
    span.length = span.held.len
    return span


# --------------------------------------------------------------------------------------------- output

@cython.final
@cython.no_gc
@cython.freelist(8)
cdef class _Room:
    """An output in memory that is used again: its pages are there already, where fresh memory of this
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
    cdef _Span span = _input(payload)
    cdef const uint8_t* p = span.data
    cdef Py_ssize_t n = span.length
    cdef int64_t size
    cdef GunzipReader reader
    cdef GunzipOutcome outcome
    cdef _Room room, larger
    if n == 0:
        raise DecompressionFailed("gzip: the stream is cut short")
    if not gunzip_load():
        return _gunzip_by_binding(payload, bytes_max)
    try:
        reader = <GunzipReader>_gunzip_readers.pop()
    except IndexError:
        reader = gunzip_reader()
    reader.begin()
    # What the last member says of its size. When it is not that, there will be more room, or less is filled.
    size = <int64_t>load_le32(p + n - 4) if n >= 4 else 0
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
    expected = <int64_t>load_le32(&view[n - 4]) if n >= 4 else 0
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


cdef int _unsnappy_block(_Span source, _Span output) except -1:
    cdef Py_ssize_t written
    try:
        written = _snappy_decompress(source, output)
    except _snappy_error as error:
        raise DecompressionFailed(f"{error}") from None
    if written != output.length:
        raise DecompressionFailed("snappy: a block holds less than it claims")
    return 0


cdef object _unsnappy(object payload, int64_t bytes_max):
    cdef _Span span = _input(payload), block, part
    cdef const uint8_t* p = span.data
    cdef Py_ssize_t n = span.length, at
    cdef int64_t total
    cdef object output
    cdef bint framed
    _load_snappy()
    framed = n >= XERIAL_HEADER_BYTES and memcmp(p, <char*>_xerial_header, XERIAL_MAGIC_BYTES) == 0
    total = _xerial_claim(p, n) if framed else _snappy_claim(p, n) if n else -1
    if total < 0:
        raise DecompressionFailed("snappy: the lengths of the blocks cannot be true")
    if total > bytes_max:
        raise _too_large(bytes_max)
    part = _Span.__new__(_Span)
    part.writable = True
    if total < ROOM_BYTES_MIN:
        output = PyBytes_FromStringAndSize(NULL, total)
        part.data = <uint8_t*>PyBytes_AS_STRING(output)
    else:
        output = _room(total, 0)
        (<_Room>output).length = total
        part.data = (<_Room>output).data
    if not framed:
        part.length = total
        _unsnappy_block(span, part)
        return output
    block = _Span.__new__(_Span)
    at = XERIAL_HEADER_BYTES
    while at < n:
        block.length = <Py_ssize_t>load_be32(p + at)
        if block.length == <uint32_t>0x82534E41U and n - at >= XERIAL_HEADER_BYTES:
            at += XERIAL_HEADER_BYTES
            continue
        at += 4
        block.data = span.data + at
        part.length = <Py_ssize_t>_snappy_claim(block.data, block.length)
        _unsnappy_block(block, part)
        part.data += part.length
        at += block.length
    return output


cdef object _snap(object payload):
    """xerial's framing, block by block into one piece of memory that has room for the worst."""
    cdef _Span span = _input(payload), block, part
    cdef Py_ssize_t at = 0, n = span.length, filled = XERIAL_HEADER_BYTES, written
    cdef Py_ssize_t blocks = (n + XERIAL_BLOCK_BYTES - 1) // XERIAL_BLOCK_BYTES
    cdef _Room room
    _load_snappy()
    room = _room(XERIAL_HEADER_BYTES + blocks * (4 + 32) + n + n // 6, 0)
    memcpy(room.data, <char*>_xerial_header, XERIAL_HEADER_BYTES)
    block = _Span.__new__(_Span)
    part = _Span.__new__(_Span)
    part.writable = True
    # No range: with a step that is an enum's, it would be a Python object.
    while at < n:
        block.data = span.data + at
        block.length = min(n - at, <Py_ssize_t>XERIAL_BLOCK_BYTES)
        part.data = room.data + filled + 4
        part.length = 32 + block.length + block.length // 6
        written = _snappy_compress(block, part)
        store_be32(room.data + filled, <uint32_t>written)
        filled += 4 + written
        at += block.length
    room.length = filled
    return room


# ----------------------------------------------------------------------------------------------- lz4

cdef object _unlz4(object payload, int64_t bytes_max):
    cdef _Span span = _input(payload)
    cdef int64_t bound = 0, filled = 0
    cdef const char* wrong
    cdef _Room room
    cdef Lz4Reader reader
    if span.length == 0:
        raise DecompressionFailed("lz4: no frame")
    wrong = lz4_bound(span.data, span.length, &bound)
    if wrong == NULL:
        bound = min(bound, bytes_max)
        room = _room(bound, LZ4_SLACK_BYTES)
        try:
            reader = <Lz4Reader>_lz4_readers.pop()
        except IndexError:
            reader = lz4_reader()
        if bound >= NOGIL_BYTES:
            with nogil:
                wrong = reader.decode(span.data, span.length, room.data, bound, &filled)
        else:
            wrong = reader.decode(span.data, span.length, room.data, bound, &filled)
        if wrong == NULL and filled >= 0 and len(_lz4_readers) < POOLED_MAX:
            _lz4_readers.append(reader)
    if wrong != NULL:
        raise DecompressionFailed(f"lz4: {wrong.decode('ascii')}")
    if filled < 0:
        raise _too_large(bytes_max)
    room.length = filled
    return room


cdef object _lz4(object payload, int level):
    cdef _Span span
    cdef _Room room
    cdef int64_t written, most
    cdef const char* wrong = NULL
    # Kafka's default level is lz4's fast compressor; every other is the high compressor, which in lz4's own
    # numbers begins at 3 and ends at 12.
    level = 0 if level == 9 else min(max(level, 3), 12)
    if not lz4_writer_load():
        return _lz4_by_binding(payload, level)
    span = _input(payload)
    most = lz4_room(span.length)
    room = _room(most, 0)
    if span.length >= NOGIL_SLOW_BYTES or level > 0:
        with nogil:
            written = lz4_encode(span.data, span.length, level, room.data, most, &wrong)
    else:
        written = lz4_encode(span.data, span.length, level, room.data, most, &wrong)
    if written < 0:
        raise MemoryError(f"lz4: {wrong.decode('ascii')}")
    room.length = <Py_ssize_t>written
    return room


cdef object _lz4_by_binding(object payload, int level):
    """The same where liblz4's functions that write are not to be found."""
    import lz4.frame

    return lz4.frame.compress(
        payload,
        compression_level=level,
        block_size=lz4.frame.BLOCKSIZE_MAX64KB,
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


cdef object _zstd_reader():
    """What decompresses a frame, given it and, where it does not say its content size, the most to be made of it."""
    try:
        return _zstd_readers.pop()
    except IndexError:
        _load_zstd()
        return _zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX).decompress


cdef object _unzstd(object payload, int64_t bytes_max):
    cdef _Span span = _input(payload)
    cdef Py_ssize_t at = 0
    cdef int64_t left = bytes_max
    cdef ZstdFrame frame
    cdef const char* wrong
    cdef list parts = None
    cdef object part = b"", decompress_frame
    if span.length == 0:
        raise DecompressionFailed("zstd: no frame")
    decompress_frame = _zstd_reader()
    while at < span.length:
        wrong = zstd_frame(span.data + at, span.length - at, &frame)
        if wrong != NULL:
            raise DecompressionFailed(f"zstd: {wrong.decode('ascii')}")
        if frame.exact and frame.bound > left:
            raise _too_large(bytes_max)
        if frame.bound:
            source = payload if frame.length == span.length else memoryview(payload)[at : at + frame.length]
            try:
                # The binding itself takes no more than a content size that the frame says.
                part = decompress_frame(source) if frame.exact else decompress_frame(source, min(frame.bound, left + 1))
            except _zstd_error as error:
                if frame.bound > left:
                    # Its output did not fit, or it is broken: either way more than allowed was asked for.
                    raise _too_large(bytes_max) from None
                raise DecompressionFailed(f"zstd: {error}") from None
            if len(<bytes>part) > left:
                raise _too_large(bytes_max)
            left -= len(<bytes>part)
            if frame.length != span.length:
                parts = parts or []
                parts.append(part)
        at += frame.length
    if len(_zstd_readers) < POOLED_MAX:
        _zstd_readers.append(decompress_frame)
    return part if parts is None else b"".join(parts)


cdef object _zstd(object payload, int level):
    cdef _Span span
    cdef _Room room
    cdef ZstdWriter writer
    cdef int64_t written, most
    if not zstd_writer_load():
        return _zstd_by_binding(payload, level)
    span = _input(payload)
    most = zstd_room(span.length)
    room = _room(most, 0)
    try:
        writer = <ZstdWriter>_zstd_writers.pop()
    except IndexError:
        writer = zstd_writer()
    if span.length >= NOGIL_SLOW_BYTES or level > ZSTD_LEVEL_USUAL:
        with nogil:
            written = writer.encode(span.data, span.length, level, room.data, most)
    else:
        written = writer.encode(span.data, span.length, level, room.data, most)
    if written < 0:
        raise MemoryError(f"zstd: {writer.wrong.decode('ascii')}")
    room.length = <Py_ssize_t>written
    if len(_zstd_writers) < POOLED_MAX and writer.memory_bytes() <= POOLED_BYTES_MAX:
        _zstd_writers.append(writer)
    return room


cdef object _zstd_by_binding(object payload, int level):
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
    if codec != CODEC_NONE and codec != CODEC_SNAPPY:
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
    """The payload compressed as Kafka's own clients do, a bytes-like object; level by Kafka's numbers, None for its
    default.

    Raises UnsupportedCompression for another codec, ValueError for a level that the codec does not have.
    """
    packed = compress_payload(codec, _bytes_like(payload), LEVEL_DEFAULT if level is None else level)
    return memoryview(packed) if type(packed) is _Room else packed
