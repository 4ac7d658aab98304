# What a compiled path made of a request.

cdef enum Outcome:
    DECLINED = 0        # nothing happened; the general path has to do it
    ANSWERED = 1        # the reply is in the output
    SILENT = 2          # done, and there is no reply (acks=0)
    WAITING = 3         # the reply is in the output, and must not be sent before `waits` came true
    BROKEN = 4          # acks=0 and it failed: close the connection, as Kafka does
    HUNGRY = 5          # a fetch without its minimum of bytes: it may wait for `max_wait_ms` for `awaited`
    TAKEN = 6           # a fetch that `session` has taken; the general path has to go on with it
