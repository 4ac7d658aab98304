# cython: auto_pickle=False, freethreading_compatible=True
"""Members for whom nothing changes. See the stub for the contract."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcmp

from kafka_py.coordinator.deadlines cimport Deadline


cdef class GroupState:
    """See the stub."""

    def __cinit__(self):
        self.regex_counts = {}
        self.steady = {}

    def member_changed(self, str member_id not None):
        # An id that is no UTF-8 (a lone surrogate) is never remembered.
        if self.steady:
            self.steady.pop(member_id.encode("utf-8", "surrogatepass"), None)

    cdef bint is_at(self, int64_t epoch, int64_t now_ms) noexcept:
        """Whether the group, its target and its topics are where a member of that epoch is."""
        return (
            self.epoch == epoch
            and self.target_epoch == epoch
            and self.refresh_epoch <= epoch
            and now_ms < self.refresh_at_ms
            and not self.classic_count
            and not self.regex_counts
        )


@cython.final
cdef class SteadyMember:
    """See the stub."""

    def __init__(
        self, int64_t epoch, str client_id not None, str client_host not None, Deadline session not None,
        int64_t timeout_ms, int32_t interval_ms,
    ):
        self.epoch = epoch
        self.client_id = client_id.encode("utf-8", "surrogatepass")
        self.client_host = client_host
        self.session = session
        self.timeout_ms = timeout_ms
        self.interval_ms = interval_ms

    cdef bint is_from(self, const uint8_t* client_id, Py_ssize_t client_id_bytes, str host):
        return (
            PyBytes_GET_SIZE(self.client_id) == client_id_bytes
            and memcmp(PyBytes_AS_STRING(self.client_id), client_id, client_id_bytes) == 0
            and (self.client_host is host or self.client_host == host)
        )
