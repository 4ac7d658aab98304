# One client connection and what all connections of a node share.

from libc.stdint cimport int32_t, int64_t, uint8_t

from kafka_py.coordinator.offsets.commit_path cimport CommitPath
from kafka_py.reactor cimport Reactor, Turns
from kafka_py.replication.purgatory cimport AppendPurgatory, FetchPurgatory
from kafka_py.server.blocks cimport Block, Blocks
from kafka_py.server.fast_path cimport FastPath
from kafka_py.server.fetch_session cimport FetchSession
from kafka_py.server.channel cimport Channel
from kafka_py.server.flush cimport Flusher
from kafka_py.server.replies cimport Reply

cdef class Hub(Turns):
    cdef readonly object node
    cdef readonly object loop
    cdef readonly object limits
    cdef readonly FastPath fast
    cdef public CommitPath commits      # None while the node has no coordinators
    cdef readonly Flusher flusher
    cdef readonly AppendPurgatory appends
    cdef readonly FetchPurgatory fetches
    cdef Reactor reactor
    cdef object clock
    cdef object clock_now
    cdef object clock_monotonic
    cdef object dispatch
    cdef object grants_of               # principal, host -> Grants or None
    cdef object route
    cdef Blocks blocks
    cdef readonly set connections
    cdef list dirty
    cdef object empty                   # future of who waits for the last connection to go
    cdef bint in_wakeup
    cdef bint scheduled
    cdef public bint closing
    cdef readonly long requests
    cdef void* alone                    # who was served last; only ever compared
    cdef long alone_for                 # how many wake-ups in a row were its, with one request at most each
    cdef readonly long long inflight_bytes
    cdef readonly long long inflight_bytes_max
    cdef list stalled                   # connections that wait for the global budget

    cdef int begin(self, Reactor reactor) except -1
    cdef int mark(self, Connection connection) except -1
    cdef int end_wakeup(self) except -1


cdef class Connection(Channel):
    cdef readonly Hub hub
    cdef readonly object listening
    cdef str address                    # the host as Java prints it
    cdef readonly bint plain_role       # a broker listener: the compiled paths apply
    cdef readonly str role
    cdef object replies                 # Reply, in the order of the requests: a deque, NO_REPLIES before the first one
    cdef Py_ssize_t queued              # how many of them
    cdef readonly Py_ssize_t inflight_bytes
    cdef bint held                      # a newcomer that the creation rate makes wait
    cdef bint counted
    cdef bint dirty
    cdef readonly bint served           # one whole request was taken
    cdef readonly double opened_at
    cdef readonly double frame_at       # when the unfinished frame began, 0 when there is none
    cdef readonly object principal
    cdef object grants                  # what the authorizer lets this caller do; None without one
    cdef public str software_name
    cdef public str software_version
    cdef Py_ssize_t request_bytes_max
    cdef Py_ssize_t inflight_bytes_max
    cdef Py_ssize_t inflight_requests_max
    cdef Py_ssize_t unsent_bytes_max

    cdef int push(self, Reply reply) except -1
    cdef Py_ssize_t take_frames(self, Block block, Py_ssize_t at) except -1
    cdef int take_frame(self, Block block, const uint8_t* p, Py_ssize_t n) except -1
    cdef int take_general(self, Block block, int key, int version, int32_t correlation, object client_id, const uint8_t* body, Py_ssize_t n, Py_ssize_t frame_bytes) except -1
    cdef int let_wait(self, object client_id, const uint8_t* body, Py_ssize_t n, int version, int32_t correlation, Py_ssize_t frame_bytes) except -1
    cdef bint take_quick(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t n, int key, int version, int32_t correlation, Py_ssize_t client_id_bytes) except -1
    cdef int answer(self, object parts, Py_ssize_t frame_bytes) except -1
    cdef int wait(self, Reply reply, Py_ssize_t frame_bytes) except -1
    cdef int pump(self) except -1
    cdef bint may_take(self)
    cdef int keep_rest(self, Block block, Py_ssize_t at) except -1
    cdef object text(self, const uint8_t* p, Py_ssize_t size)
    cdef int queue_made(self, Py_ssize_t start) except -1
    cdef object context(
        self, int key, int version, int32_t correlation, object client_id, Py_ssize_t frame_bytes, FetchSession session
    )
    cdef int later(self, object awaitable, Py_ssize_t frame_bytes, bint reads_only) except -1
    cdef int stop_reading(self) except -1
    cdef int end_with(self, object why) except -1
