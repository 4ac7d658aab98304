# cython: auto_pickle=False
"""A fetch that waits in the purgatory without a message object: its bytes are served again when something moved.

It is a DelayedFetch of :mod:`kafka_py.replication.purgatory`. Each look is the compiled fetch once more, with the time
that is left written over the request's own max_wait_ms; at the deadline nothing is left, and the same fetch answers
with what there is. One in a session was taken by it before it waited, and each look serves the session as it is now.
A request that has become unusual meanwhile (another leader, a deleted topic, an open transaction, pages that are not
in memory) goes to the general path, which may let it wait for the rest of its time.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from kafka_py.server.fast_path cimport FastPath
from kafka_py.server.outcomes cimport ANSWERED, HUNGRY
from kafka_py.server.output cimport Output
from kcore.endian cimport store_be32


cdef class WaitingFetch:
    """One request that waits; ``connection`` is a Connection, ``reply`` a Reply in its order."""

    def __init__(self, FastPath fast, bytes body, int version, int32_t correlation, client_id, connection, reply, long long deadline_ms):
        self.fast = fast
        self.body = bytearray(body)
        self.version = version
        self.correlation = correlation
        self.client_id = client_id
        self.connection = connection
        self.reply = reply
        self.session = fast.session
        self.head = fast.head
        fast.session = None
        self.deadline_ms = deadline_ms

    @property
    def request(self):
        """What the general path needs: (version, correlation id, client id, body, session or None, reply)."""
        return self.version, self.correlation, self.client_id, bytes(self.body), self.session, self.reply

    def attempt(self):
        """A partition moved: answer if the minimum is there. True when nobody waits here any more."""
        if self.done:
            return True
        # What is left is only asked for when the general path takes over, so a moment's error does not matter.
        return self.look(self.connection.monotonic_ms())

    def expire(self):
        """The time is up: answer with what there is."""
        if not self.done:
            self.look(self.deadline_ms)

    def cancel(self):
        """The connection does not wait for it any more."""
        if not self.done:
            self.done = True
            self.reply.finish(None)

    cdef bint look(self, long long now_ms) except -1:
        cdef Output scratch = self.fast.scratch
        cdef uint8_t* p = <uint8_t*><char*>self.body
        cdef int outcome
        cdef int32_t left_ms = <int32_t>max(0, self.deadline_ms - now_ms)
        # ReplicaId stood before MaxWaitMs until version 14 (KIP-903).
        store_be32(p + (4 if self.version <= 14 else 0), <uint32_t>left_ms)
        # Whether the caller may read was decided when the request came, as Apache decides it.
        self.fast.permitted = None
        if self.session is None:
            outcome = self.fast.fetch(scratch, p, len(self.body), self.version, self.correlation)
        else:
            self.head.max_wait_ms = left_ms
            outcome = self.fast.in_session.serve(
                scratch, self.session, &self.head, self.version, self.correlation, None, self.fast.now_ms
            )
        if outcome == HUNGRY:
            return False
        self.done = True
        if outcome == ANSWERED:
            if self.session is not None:
                self.fast.fetched += 1
            self.reply.finish(scratch.cut(0))
        else:
            self.connection.take_again(self)
        return True
