"""A log directory as a unit of failure: one bad disk, one flag (RELIABILITY: T7)."""


cdef class LogDirFailure:
    """Shared by all logs of one log directory: the first disk error puts all of it offline for good."""

    def __cinit__(self, str path=""):
        self.path = path
        self.listeners = []

    @property
    def failed(self):
        """Whether the directory is offline."""
        return bool(self.offline)

    def fail(self, cause):
        """Marks the directory offline (once) and calls the listeners."""
        if self.offline:
            return
        self.offline = True
        self.cause = cause
        for listener in self.listeners:
            listener(self)

    def subscribe(self, listener):
        """listener(self) runs in the thread that met the error, at once when already failed."""
        self.listeners.append(listener)
        if self.offline:
            listener(self)
