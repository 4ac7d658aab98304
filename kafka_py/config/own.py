"""Broker settings that Apache Kafka does not have; every name starts with ``kafka_py.``.

Where Kafka has a name for a limit, that name is used and it stands in the broker's own table. This
list is plain data so that the broker's ConfigDef can include it; types are ConfigDef's: ``int long
boolean string list double``.
"""

from typing import Final

from kcore.values import frozen

__all__ = ["OWN_KEYS", "OwnKey"]


@frozen
class OwnKey:
    """One setting: ``valid`` lists the allowed strings (None.

    Any), ``at_least`` bounds a number from below.
    """

    name: str
    type: str
    default: int | bool | str
    doc: str
    at_least: int | None = None
    valid: tuple[str, ...] | None = None
    dynamic: bool = False


OWN_KEYS: Final[tuple[OwnKey, ...]] = (
    OwnKey(
        "kafka_py.flush.policy",
        "string",
        "group",
        "When a produce request with acks=all is answered: 'group' after an fdatasync that "
        "requests share (see kafka_py.flush.group.ms), 'batch' after one of its own, 'interval' "
        "and 'none' without waiting for the disk ('interval' flushes every "
        "kafka_py.flush.interval.ms in the background). flush.messages and flush.ms keep Kafka's "
        "meaning beside it.",
        valid=("none", "interval", "group", "batch"),
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.flush.group.ms",
        "int",
        0,
        "How long a group commit waits for more appends before its fdatasync, in milliseconds. "
        "With 0 it starts at once when none is under way, and whatever arrives meanwhile shares "
        "the next one.",
        at_least=0,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.flush.inline.max.us",
        "int",
        500,
        "A disk whose flushes take no longer, in microseconds, is waited for by the event loop "
        "itself while a single connection sends one acks=all request at a time: two changes of "
        "thread less. A few of a hundred may take longer; one that takes forty times as long ends "
        "it for the next thousand. 0: never.",
        at_least=0,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.flush.gather.percent",
        "int",
        25,
        "How long a flush may wait for requests of the clients that the last one has answered, in "
        "percent of the time that took (at most 0.2 ms): begun at once, it would leave them to the "
        "one after it. 0: not at all.",
        at_least=0,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.check.inline.max.bytes",
        "int",
        512 * 1024,
        "A batch compressed with snappy, lz4 or zstd up to this size is decompressed and checked "
        "by the event loop itself: handing it to a worker and back takes longer. Larger ones, and "
        "gzip's above 64 KiB, are checked by workers.",
        at_least=0,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.check.inline.max.us",
        "int",
        3000,
        "A request whose checks took the event loop longer, in microseconds of CPU, sends the next "
        "8 batches above 64 KiB to workers, and twice as many, up to 1,024, when the one after "
        "them takes too long as well.",
        at_least=0,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.flush.interval.ms",
        "int",
        1000,
        "Period of the background flush under kafka_py.flush.policy=interval, in milliseconds.",
        at_least=1,
        dynamic=True,
    ),
    OwnKey(
        "kafka_py.connection.inflight.bytes.max",
        "long",
        128 * 1024 * 1024,
        "Bytes of requests of one connection that are being answered; above it the connection is "
        "not read from.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.connection.inflight.requests.max",
        "int",
        1024,
        "Requests of one connection that are being answered; above it the connection is not read "
        "from.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.connection.unsent.bytes.max",
        "long",
        1024 * 1024,
        "Reply bytes of one connection that may wait for a slow reader before the connection is "
        "not read from.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.unsent.bytes.max",
        "long",
        128 * 1024 * 1024,
        "Reply bytes of all connections that may wait for slow readers; above it the connection "
        "with the most is closed.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.slow.reader.timeout.ms",
        "int",
        30_000,
        "A connection whose waiting replies do not shrink for so long is closed, in milliseconds.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.frame.timeout.ms",
        "int",
        30_000,
        "A request frame that was begun must be whole after this time plus its size at 1 KiB/s, "
        "in milliseconds.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.first.request.timeout.ms",
        "int",
        10_000,
        "A new connection that has not sent one whole request after this time is closed, in "
        "milliseconds.",
        at_least=1,
    ),
    OwnKey(
        "kafka_py.first.request.bytes.max",
        "int",
        64 * 1024,
        "Size limit of frames before the first whole request of a connection was answered, where "
        "that request is ApiVersions or SASL; other first requests fall under "
        "socket.request.max.bytes.",
        at_least=1024,
    ),
    OwnKey(
        "kafka_py.sendfile.bytes.min",
        "int",
        64 * 1024,
        "Fetched slices of at least this size are sent by sendfile when the connection has "
        "nothing buffered.",
        at_least=1,
    ),
)
