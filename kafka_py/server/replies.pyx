# cython: auto_pickle=False
"""The places of replies in their connection's order: filled at once, later by a task, or when an append is committed.

A place is filled once; whoever comes later is ignored, so that a deadline and a late success need not know of each
other. Filling one tells the connection (:class:`Peer`), which sends what is at the front of its order.
"""

from kafka_py.reactor cimport Watched

from kafka_py.coordinator.offsets.commit_path import refused
from kafka_py.protocol.errors import ErrorCode
from kafka_py.server.produce_errors import with_errors


cdef class Peer(Watched):
    """What a reply sees of its connection."""

    cdef int answered(self) except -1:
        """One of its replies is there."""
        raise AssertionError("a connection does this")

    cdef int fail(self, object why) except -1:
        """Close because of the peer's bytes or of an exception."""
        raise AssertionError("a connection does this")


cdef class Reply:
    """The place of one reply in its connection's order."""

    def finish(self, parts):
        """Fill the place: a list of parts, or None when there is no reply. Twice is ignored."""
        if self.done:
            return
        self.done = True
        self.abandon = None
        self.parts = parts
        self.connection.answered()

    def from_task(self, task):
        """Fill the place from a finished asyncio task; an exception in it closes the connection."""
        if task.cancelled():
            if self.connection.ending:
                self.finish(None)
            else:
                self.connection.fail(None)
            return
        error = task.exception()
        if error is None:
            self.finish(task.result())
        else:
            self.connection.fail(error)


cdef class AppendReply(Reply):
    """An acks=all answer that waits for replication or the disk; an AppendWaiter of the purgatory."""

    def satisfied(self):
        """One more of its partitions is there."""
        self.waiting -= 1
        if self.waiting == 0:
            self.complete()

    def expire(self):
        """Its time is up: what is not replicated, or not durable as promised, is answered REQUEST_TIMED_OUT."""
        for partition, end_offset in self.waits:
            log_now = partition.log
            if (
                partition.high_watermark < end_offset or log_now is None
                or (self.durable and log_now.recovery_point < end_offset)
            ):
                self.errors.setdefault(id(partition), int(ErrorCode.REQUEST_TIMED_OUT))
        self.complete()

    def fail(self, int error):
        """Called once for each partition that was lost; the others of the request count as they are."""
        for partition, end_offset in self.waits:
            if not partition.leads or partition.offline:
                self.errors.setdefault(id(partition), error)
        self.satisfied()

    cdef int complete(self) except -1:
        if self.done:
            return 0
        if self.errors:
            self.parts = self.with_errors()
        self.done = True
        self.connection.answered()
        return 0

    cdef object with_errors(self):
        """The reply again, with the error codes of the partitions that failed."""
        cdef dict hit = {
            (p.topic_id if self.version >= 13 else p.topic, p.index): self.errors[id(p)]
            for p, _ in self.waits
            if id(p) in self.errors
        }
        return [with_errors(b"".join([bytes(part) for part in self.parts]), self.version, hit)]


cdef class CommitReply(Reply):
    """The answer to an OffsetCommit whose records are in a coordinator's pending batch; a QuickReply of it."""
    cpdef int committed(self) except -1:
        """The batch is committed: the reply goes out as it was made."""
        if not self.done:
            self.done = True
            self.connection.answered()
        return 0

    cpdef int refuse(self, int error) except -1:
        """It is not: every partition gets the error."""
        if not self.done:
            self.parts = refused(self.parts, self.version, error)
            self.committed()
        return 0
