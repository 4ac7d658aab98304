# kcore.producer_snapshot: Kafka's file of a partition's producers, at a glance.
from kcore.producer_entry cimport ProducerEntry

# The file's bytes; buckets: of the Java HashMap that would hold the same ids.
cdef bytes encode_snapshot(const ProducerEntry* entries, Py_ssize_t count, Py_ssize_t buckets)
