# The compiled Produce and Fetch: request bytes in, reply bytes out, no message objects between.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t

from kafka_py.protocol.cursor cimport Cursor
from kafka_py.replication.partition cimport Partition
from kafka_py.server.fetch_session cimport FetchSession
from kafka_py.server.fetch_wire cimport FetchHead
from kafka_py.server.lookup cimport Lookup
from kafka_py.server.output cimport Output
from kafka_py.server.session_fetch cimport SessionFetch

cdef struct Topic:
    const uint8_t* name
    Py_ssize_t size
    int first
    int count

cdef struct Piece:
    int32_t index
    PyObject* partition         # borrowed: the hosted partitions hold it, and change on this thread only
    const uint8_t* records
    Py_ssize_t size
    int64_t offset
    Py_ssize_t bytes_max

# How long the tagged fields of a request header at p are; -1: malformed, or too many.
cdef Py_ssize_t skip_tags(const uint8_t* p, Py_ssize_t n) noexcept nogil


cdef class FastPath:
    cdef Lookup lookup
    cdef public object fetches
    cdef public dict verifying  # by producer id: transactional produces whose coordinator is being asked
    cdef public bint wait_for_flush
    cdef public long long now_ms
    cdef public Py_ssize_t fetch_bytes_max
    cdef public Py_ssize_t off_loop_bytes
    cdef public Py_ssize_t inline_bytes_max     # a longer compressed batch is left to a worker ...
    cdef public long inline_us_max      # ... and so are the next ones after a request that took more of the CPU
    cdef public long hands_off          # so many long batches more are
    cdef long hands_off_next            # how many it will be after the next one that takes too long
    cdef PyObject* last                 # of the last produce, its last partition; only ever compared
    cdef readonly int wanders           # produces go to one partition after another: see kafka_py.server.foresight
    cdef public object permitted        # key of a topic -> whether the caller may; None: there is nobody to ask
    cdef public long produced
    cdef public long fetched
    cdef list waits             # of the last produce that was WAITING: (Partition, end offset)
    cdef int32_t timeout_ms     # of the last produce
    cdef int32_t max_wait_ms    # of the last fetch that was HUNGRY
    cdef list awaited           # its partitions
    cdef SessionFetch in_session
    cdef public FetchSession session    # that has taken the last fetch, while that is not answered
    cdef FetchHead head         # of the last fetch in a session
    cdef Output scratch         # where the answer to a fetch that waited is made

    cdef bint checked_here(self, int codec, int64_t size) noexcept
    # Whether a transactional batch's transaction is open there: then nobody has to be asked. `first` is such a batch
    # of the same request, NULL before there is one; all are of one producer.
    cdef bint is_open(self, Partition partition, const uint8_t* batch, const uint8_t* first) except -1
    cdef int produce(self, Output out, object owner, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation) except -1
    cdef int fetch(self, Output out, const uint8_t* p, Py_ssize_t n, int version, int32_t correlation) except -1
    cdef int fetch_in_session(self, Output out, Cursor* c, int version, int32_t correlation) except -1
    cdef int append_all(self, Output out, object owner, int version, int32_t correlation, int acks, Topic* topics, int topics_count, Piece* pieces) except -1
    cdef int put_fetched(self, Output out, int version, int32_t correlation, int isolation, Topic* topics, int topics_count, Piece* pieces, list slices) except -1
