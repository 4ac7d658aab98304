# cython: auto_pickle=False
"""The memory that requests are received into, and the views that handlers get of it.

Small frames: the bytes of a wake-up come into one block that all connections share, and a frame that
is only begun in it moves into a block of its connection's own. Large frames: who sent one probably
sends another of about that size, so the next one is received into a block of exactly that capacity,
where it can be appended from without another copy, with room behind it for one that turns out to be
longer; such blocks come from a few spare ones, whose memory is warm. A block never grows with the
length that a frame claims, only with bytes that arrived, or to twice the size of a frame that this
connection has really sent before.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from kcore.endian cimport load_be32

cdef enum:
    SCRATCH_BYTES = 262144
    LARGE_FRAME_BYTES = 32768
    EXPECTED_BYTES_MAX = 4194304
    OWN_BYTES_MIN = 65536
    FREE_BYTES_MIN = 4096
    SPARE_BYTES_MAX = 8388608


cdef class Block:
    """Received bytes; exports, writable, the part that is still free."""

    def __cinit__(self, Py_ssize_t capacity):
        self.data = <uint8_t*>malloc(capacity)
        if self.data == NULL:
            raise MemoryError
        self.capacity = self.allocated = capacity

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.capacity - self.used

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data + self.used, self.capacity - self.used, 0, flags)


cdef class Body:
    """One request body inside a block, read-only; the block stays as it is while this lives."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*>self.data, self.size, 1, flags)


cdef class Blocks:
    """The blocks that the connections of one node share: one for all of them, and spare large ones."""

    def __cinit__(self):
        self.scratch = Block(SCRATCH_BYTES)
        self.spare = []

    cdef Block take(self, Py_ssize_t capacity):
        """A block of that capacity: the one given back last where it fits."""
        cdef Block block
        if self.spare:
            block = <Block>self.spare[len(self.spare) - 1]
            if capacity <= block.allocated <= 4 * capacity:
                self.spare.pop()
                self.spare_bytes -= block.allocated
                block.capacity = capacity
                block.used = 0
                return block
            # Other sizes are wanted now: the oldest one makes room.
            block = <Block>self.spare.pop(0)
            self.spare_bytes -= block.allocated
        return Block(capacity)

    cdef int give(self, Block block) except -1:
        """Its connection needs it no more; while a handler reads from it, it stays the handler's."""
        if not block.lent and self.spare_bytes + block.allocated <= SPARE_BYTES_MAX:
            self.spare.append(block)
            self.spare_bytes += block.allocated
        return 0


cdef class Intake:
    """Where the next bytes of one connection go, and what waits for the rest of its frame."""

    def __cinit__(self, Blocks blocks not None):
        self.blocks = blocks

    cdef Block room(self):
        """The block for what comes next; it has room."""
        cdef Block own = self.own
        cdef Block grown
        cdef Py_ssize_t claimed
        if own is None:
            if not self.expected:
                return self.blocks.scratch
            self.own = own = self.blocks.take(self.believed())
            own.capacity = self.expected
            return own
        if own.capacity - own.used < FREE_BYTES_MIN:
            claimed = 4 + <Py_ssize_t><int32_t>load_be32(own.data) if own.used >= 4 else 0
            if own.used < claimed <= own.allocated:
                # Up to the frame's end: what comes behind it would have to move.
                own.capacity = claimed
            elif own.capacity < own.allocated:
                own.capacity = own.allocated
            else:
                grown = Block(max(own.allocated * 2, <Py_ssize_t>FREE_BYTES_MIN))
                memcpy(grown.data, own.data, own.used)
                grown.used = own.used
                self.own = own = grown
        return own

    cdef Block filled(self, Py_ssize_t received):
        """The block that `room` gave, with so many bytes more in it."""
        cdef Block block = self.own
        if block is None:
            block = self.blocks.scratch
        block.used += received
        return block

    cdef int took(self, Py_ssize_t frame_bytes) noexcept:
        """A whole frame was taken; the next one is probably of its size."""
        self.expected = frame_bytes if LARGE_FRAME_BYTES <= frame_bytes <= EXPECTED_BYTES_MAX else 0
        return 0

    cdef Py_ssize_t believed(self) noexcept:
        """How long the next frame may say that it is and get memory for it; 0: none was large."""
        return max(self.expected, min(2 * self.expected, <Py_ssize_t>EXPECTED_BYTES_MAX))

    cdef Py_ssize_t keep(self, Block block, Py_ssize_t at) except -1:
        """What is behind the last whole frame stays; how many bytes those are."""
        cdef Py_ssize_t rest = block.used - at
        cdef Py_ssize_t claimed, capacity
        cdef Block own
        if rest == 0:
            self.forget(block)
            return 0
        if at == 0 and block is self.own:
            return rest
        capacity = max(<Py_ssize_t>OWN_BYTES_MIN, rest + rest // 2 + FREE_BYTES_MIN)
        if self.expected and rest >= 4:
            claimed = 4 + <Py_ssize_t><int32_t>load_be32(block.data + at)
            if rest < claimed <= self.believed():
                capacity = claimed
        own = self.blocks.take(capacity) if self.expected else Block(capacity)
        memcpy(own.data, block.data + at, rest)
        own.used = rest
        self.forget(block)
        self.own = own
        return rest

    cdef int forget(self, Block block) except -1:
        """Nothing of the block is needed any more by this connection."""
        if block is not self.blocks.scratch:
            if block is self.own:
                self.own = None
                self.blocks.give(block)
        elif block.lent:
            self.blocks.scratch = Block(SCRATCH_BYTES)
        else:
            block.used = 0
        return 0
