# kcore.log: the ordered segments of one directory, at a glance.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes) noexcept
    int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept
    int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept
    int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept
    int pthread_mutex_destroy(pthread_mutex_t* mutex) noexcept

from kcore.leader_epoch cimport LeaderEpochCache
from kcore.log_dir cimport LogDirFailure
from kcore.producer_state cimport ProducerStateTable
from kcore.record_batch cimport ValidateRules
from kcore.segment cimport LogSlice, Segment

cdef enum:                              # the same numbers as in kcore.producer_state
    REPLICA = 0
    CLIENT = 1
    COORDINATOR = 2
    RAFT = 3

cdef enum:
    NOGIL_BYTES = 65536                 # sums of that size let the GIL go

cdef struct AppendedStruct:
    int64_t base_offset
    int64_t last_offset
    int64_t log_append_time_ms          # -1 with create timestamps
    int64_t log_start_offset
    int64_t max_timestamp_ms
    int32_t leader_epoch
    bint duplicate                      # answered from the producer state; nothing was written


cdef class Log:
    # What every append reads and writes comes first and stays together: with thousands of logs each cache line is a
    # miss (bench/GROWTH.md).
    cdef Segment active
    cdef readonly LogDirFailure failure
    cdef readonly int64_t log_start_offset
    cdef readonly int64_t log_end_offset
    cdef readonly int64_t recovery_point        # everything below is on disk for good
    cdef bint held                              # whether somebody has the lock; written and read with the GIL
    cdef readonly bint closed
    cdef Py_ssize_t usual_bytes_max             # batches up to there may go the usual way; 0: none
    cdef int32_t epoch_known                    # of the last append, while leader_epochs has an entry for it; else -1
    cdef int64_t segment_bytes                  # from here to the rules: cached from the config
    cdef int64_t segment_ms
    cdef int64_t max_message_bytes
    cdef ValidateRules rules
    cdef readonly ProducerStateTable producers
    cdef list segment_list                      # Segment, ascending base offset, never empty while open

    cdef readonly str path
    cdef readonly object config                 # LogConfig
    cdef readonly object topic_id
    cdef readonly LeaderEpochCache leader_epochs
    cdef public object recovery_report          # RecoveryReport
    cdef readonly int64_t last_flush_ms
    cdef readonly int64_t truncations           # grows by one with every truncation
    cdef bint names_dirty                       # a name in the directory is not yet durable
    cdef bint epochs_dirty                      # leader-epoch-checkpoint lacks something: the next flush's first work
    cdef list unsynced                          # paths of small files that the next flush must sync
    cdef list deletions                         # (due_ms, path) of ".deleted" files
    cdef int64_t last_snapshot_offset
    cdef int64_t recalled_from                  # the snapshot that the producer state began with; -1: nothing is before it
    cdef pthread_mutex_t lock                   # held while the log changes; reads take none
    cdef object flush_lock                      # one flush at a time

    # One batch of a produce request: validated, offsets assigned, one copy. Raises what append() raises.
    # The bytes at p are never modified. owner keeps them alive (may be None for C callers).
    cdef int append_client(
        self, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
        AppendedStruct* out,
    ) except -1
    # Any origin; p holds whole batches (exactly one for CLIENT).
    cdef int append_batches(
        self, object owner, const uint8_t* p, Py_ssize_t n, int32_t leader_epoch, int64_t now_ms,
        int origin, AppendedStruct* out,
    ) except -1
    # Whole batches from offset on, below end_offset. Raises OffsetOutOfRange. Never None.
    cdef LogSlice read_slice(
        self, int64_t offset, Py_ssize_t bytes_max, int64_t end_offset, bint at_least_one
    )
    cdef Py_ssize_t floor_segment(self, int64_t offset) noexcept

    # Inner parts; the caller holds the lock.
    cdef int give_up(self, object error) except -1
    cdef int acquire(self) except -1
    cdef void release(self) noexcept
    cdef int check_open(self) except -1
    cdef int fail(self, object error) except -1         # always raises
    cdef int assign_epoch(self, int32_t epoch, int64_t start_offset) except -1
    cdef int roll_to(self, int64_t base_offset, int64_t now_ms) except -1
    cdef int snapshot_at(self, int64_t offset) except -1
    cdef Segment make_segment(self, int64_t base_offset, int64_t now_ms)
    cdef int save_epochs(self) except -1
