"""librdkafka in a process of its own: `python -m bench.clients produce BOOTSTRAP TOPIC N BYTES`.

Prints one JSON object: records, seconds, records_per_s, and, around exactly the measured part, the
CPU of the broker whose pid is given.
"""

import argparse
import json
import time
from random import Random

from confluent_kafka import Consumer, Producer, TopicPartition


def cpu_seconds(pid: int) -> float:
    """User plus system seconds of a process so far, all its threads, ended ones too.

    By the process's CPU clock (its id is the complement of the pid over the bits of "scheduler
    time, a process", see clock_getcpuclockid(3)), which counts nanoseconds: a consumer's broker
    works for some of /proc's 10 ms steps in all.
    """
    return time.clock_gettime(~pid << 3 | 2)


def values(count: int, size: int) -> list[bytes]:
    """Different values as services write them: named fields, numbers, a random id.

    In lz4 a batch of 100 B ones takes a third of its size. The same each time.
    """
    random = Random(size)
    made = []
    for i in range(count):
        head = b'{"id":%08d,"user":"%016x","event":"page_view","ms":%d,"path":"' % (
            i,
            random.getrandbits(64),
            random.randrange(1, 2000),
        )
        path = b"/flights/%d" % random.randrange(500)
        made.append((head + path * (size // len(path) + 1))[: size - 2] + b'"}')
    return made


def produce(a: argparse.Namespace) -> int:
    """Send ``records`` and wait for every acknowledgement."""
    failed = []
    producer = Producer(
        {
            "bootstrap.servers": a.bootstrap,
            "acks": a.acks,
            "compression.type": a.codec,
            "linger.ms": 5,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 256_000,
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failed.append(error),
        }
    )
    pool = values(1000, a.record_bytes)
    for i in range(a.records):
        while True:
            try:
                producer.produce(a.topic, pool[i % 1000])
                break
            except BufferError:
                producer.poll(0.005)
        if i % 2000 == 0:
            producer.poll(0)
    producer.flush(120)
    if failed:
        raise SystemExit(f"librdkafka: {failed[0]}")
    return int(a.records)


def consume(a: argparse.Namespace) -> int:
    """Read ``records`` from the start of partition 0, checking each value's size."""
    consumer = Consumer(
        {
            "bootstrap.servers": a.bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            # By default it pauses for a second whenever 100,000 messages wait to be taken: then a
            # fast broker is measured by how much it delivers at once, a second apart.
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(a.topic, 0, 0)])
    seen, quiet_since = 0, time.monotonic()
    while seen < a.records:
        messages = consumer.consume(10_000, timeout=0.2)
        for message in messages:
            if message.error() or len(message) != a.record_bytes:
                raise SystemExit(f"librdkafka: {message.error()}")
        seen += len(messages)
        if messages:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > 20:
            raise SystemExit(f"librdkafka: {seen} of {a.records} records")
    consumer.close()
    return seen


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["produce", "consume"])
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    parser.add_argument("record_bytes", type=int)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--acks", default="-1")
    parser.add_argument("--pid", type=int, required=True)
    a = parser.parse_args()
    cpu, began = cpu_seconds(a.pid), time.perf_counter()
    seen = produce(a) if a.action == "produce" else consume(a)
    seconds = time.perf_counter() - began
    used = cpu_seconds(a.pid) - cpu
    print(
        json.dumps(
            {
                "requests": seen,
                "seconds": seconds,
                "requests_per_s": seen / seconds,
                "broker_cpu_s": used,
                "broker_cpu_us_per_request": used / seen * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
