"""The cases of `make bench` as one table: what is sent, how, and what must come of it.

A case's bounds hold against the other sides of the same run: ``rate_min`` is ours / Apache's
(requests, megabytes or records a second, whichever the case counts), ``cpu_max`` our broker CPU a
request / Apache's, ``p50_max`` and ``p99_max`` our latency / Apache's, ``limit_min`` our rate / the
limit's, ``p50_limit_max`` our median latency / the limit's. ``p50_ms_max`` and ``p99_ms_max`` are
milliseconds. Where ``either`` is set, one of ``rate_min`` and ``limit_min`` is enough: no broker is
faster than the loopback.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One measurement.

    ``kind``: produce, fetch, client-produce, client-consume, start, memory, lag. ``limit``: which
    bare program shows what is possible, "echo", "disk" or none (bench/limits.py).
    ``apache_config`` is set on Apache's topic only.
    """

    name: str
    kind: str
    title: str
    records: int = 1
    record_bytes: int = 100
    batches: int = 1
    connections: int = 1
    depth: int = 1
    acks: int = 1
    fetch_bytes: int = 0
    codec: str = "none"
    rate_min: float | None = None
    cpu_max: float | None = None
    p50_max: float | None = None
    p99_max: float | None = None
    limit_min: float | None = None
    p50_ms_max: float | None = None
    p99_ms_max: float | None = None
    p50_limit_max: float | None = None
    either: bool = False
    limit: str = ""
    partitions: int = 1
    apache_config: dict[str, str] = field(default_factory=dict)

    @property
    def fills_memory(self) -> bool:
        """Whether a pass writes hundreds of megabytes, so that fresh pages are part of its cost."""
        return self.kind.endswith("produce") and self.request_bytes * self.in_flight > 5_000

    @property
    def large(self) -> bool:
        """Whether the case is about bytes: requests of more than 10 kB."""
        return self.kind.endswith("produce") and self.records * self.record_bytes > 10_000

    @property
    def fills_disk(self) -> bool:
        """Whether a pass of seconds writes more than Linux leaves unwritten."""
        return self.large and self.kind == "produce"

    @property
    def request_bytes(self) -> int:
        """The bytes of a request's records; of all records, where a client makes the requests."""
        return self.records * self.record_bytes * self.partitions

    @property
    def in_flight(self) -> int:
        """How many requests are under way at once."""
        return self.connections * self.depth


#: librdkafka is what limits its cases: no fewer records a second, but for 3 % of noise. It asks for
#: acks=all unless told otherwise, which ours answers when the records are on disk and Apache when
#: they are in the page cache; at acks=1 both answer from there.
CLIENT_RATE_MIN = 0.97

#: What makes Apache answer acks=all as late as ours does: when the records are on disk.
SYNCED = {"flush.messages": "1"}

CASES = (
    Case(
        "produce-d1",
        "produce",
        "1 x 100 B, acks=1, depth 1",
        p50_max=0.64,
        p99_max=0.67,
        limit="echo",
    ),
    Case(
        "produce-d1-all",
        "produce",
        "1 x 100 B, acks=all, depth 1 (ours: on disk)",
        acks=-1,
        p50_limit_max=2.0,
        limit="disk",
    ),
    Case(
        "produce-d64",
        "produce",
        "1 x 100 B, depth 64, one connection",
        depth=64,
        rate_min=5.0,
        cpu_max=0.25,
        limit_min=0.6,
        limit="echo",
    ),
    Case(
        "produce-d16x8",
        "produce",
        "1 x 100 B, depth 16 x 8 connections",
        depth=16,
        connections=8,
        rate_min=2.0,
        cpu_max=0.4,
        limit_min=0.6,
        limit="echo",
    ),
    Case(
        "produce-1000-connections",
        "produce",
        "1 x 100 B, 1,000 connections, depth 1",
        connections=1000,
        rate_min=2.0,
        cpu_max=0.33,
        limit="echo",
    ),
    Case(
        "produce-100-partitions",
        "produce",
        "100 x 100 B to 100 partitions, depth 5",
        partitions=100,
        depth=5,
        rate_min=2.0,
        cpu_max=0.33,
        limit="echo",
    ),
    Case(
        "produce-15k",
        "produce",
        "15 x 1 KiB, depth 5",
        15,
        1024,
        depth=5,
        rate_min=4.0,
        cpu_max=0.3,
        limit_min=0.8,
        either=True,
        limit="echo",
    ),
    Case(
        "produce-125k",
        "produce",
        "125 x 1 KiB, acks=1, depth 5",
        125,
        1024,
        depth=5,
        rate_min=4.0,
        cpu_max=0.3,
        limit_min=0.8,
        either=True,
        limit="echo",
    ),
    Case(
        "produce-1mb",
        "produce",
        "1,000 x 1,000 B, depth 5",
        1000,
        1000,
        depth=5,
        rate_min=4.0,
        cpu_max=0.3,
        limit_min=0.8,
        either=True,
        limit="echo",
    ),
    Case(
        "produce-125k-all",
        "produce",
        "125 x 1 KiB, acks=all, depth 5 (ours: on disk)",
        125,
        1024,
        depth=5,
        acks=-1,
        limit_min=0.8,
        limit="disk",
    ),
    Case(
        "produce-125k-synced",
        "produce",
        "125 x 1 KiB, acks=all, depth 5 (both on disk)",
        125,
        1024,
        depth=5,
        acks=-1,
        rate_min=1.0,
        cpu_max=0.5,
        apache_config=SYNCED,
    ),
    Case(
        "fetch-1mb",
        "fetch",
        "fetch 1 MB",
        1000,
        1000,
        batches=64,
        depth=2,
        fetch_bytes=1_000_000,
        rate_min=1.0,
        cpu_max=1.0,
        limit="echo",
    ),
    Case(
        "fetch-128k",
        "fetch",
        "fetch 128 KiB of small batches",
        1,
        1024,
        batches=2000,
        depth=4,
        fetch_bytes=128 << 10,
        rate_min=1.6,
        cpu_max=0.8,
        limit="echo",
    ),
    Case(
        "fetch-small",
        "fetch",
        "fetch one small batch, depth 64",
        1,
        100,
        batches=1,
        depth=64,
        fetch_bytes=1,
        rate_min=6.0,
        cpu_max=0.25,
        limit="echo",
    ),
    Case(
        "rdkafka-produce-100",
        "client-produce",
        "librdkafka produces 100 B, acks=all (ours: on disk)",
        3_000_000,
        100,
        acks=-1,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-produce-lz4",
        "client-produce",
        "librdkafka produces 100 B, lz4, acks=all (ours: on disk)",
        3_000_000,
        100,
        acks=-1,
        codec="lz4",
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-produce-1k",
        "client-produce",
        "librdkafka produces 1 KiB, acks=all (ours: on disk)",
        600_000,
        1024,
        acks=-1,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-produce-100-synced",
        "client-produce",
        "librdkafka produces 100 B, acks=all (both on disk)",
        3_000_000,
        100,
        acks=-1,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
        apache_config=SYNCED,
    ),
    Case(
        "rdkafka-produce-lz4-synced",
        "client-produce",
        "librdkafka produces 100 B, lz4, acks=all (both on disk)",
        3_000_000,
        100,
        acks=-1,
        codec="lz4",
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
        apache_config=SYNCED,
    ),
    Case(
        "rdkafka-produce-1k-synced",
        "client-produce",
        "librdkafka produces 1 KiB, acks=all (both on disk)",
        600_000,
        1024,
        acks=-1,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
        apache_config=SYNCED,
    ),
    Case(
        "rdkafka-produce-100-acks1",
        "client-produce",
        "librdkafka produces 100 B, acks=1",
        3_000_000,
        100,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-produce-lz4-acks1",
        "client-produce",
        "librdkafka produces 100 B, lz4, acks=1",
        3_000_000,
        100,
        codec="lz4",
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-produce-1k-acks1",
        "client-produce",
        "librdkafka produces 1 KiB, acks=1",
        600_000,
        1024,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.5,
    ),
    Case(
        "rdkafka-consume-100",
        "client-consume",
        "librdkafka consumes 100 B",
        3_000_000,
        100,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.8,
    ),
    Case(
        "rdkafka-consume-1k",
        "client-consume",
        "librdkafka consumes 1 KiB",
        600_000,
        1024,
        rate_min=CLIENT_RATE_MIN,
        cpu_max=0.8,
    ),
    Case("start", "start", "start to first reply"),
    Case("memory", "memory", "idle memory"),
)

#: What bench/lag.py measures. Records come one by one, so only latency counts.
LAG_CASES = (
    Case("lag", "lag", "produce to a waiting fetch, 100 B", p50_max=0.5, p99_max=0.5),
    Case("lag-tool", "lag", "Apache's EndToEndLatency, 100 B (Java client)"),
)
