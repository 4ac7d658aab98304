"""Fuzzes the request decoder and all other message decoders, seeded from the schema itself.

    python -m tests.fuzz.request --seconds 60 [--seed N] [--save DIR]

Whatever the bytes are, a decoder gives a message or refuses with MalformedRequest, within bounds of
time and memory. A message that it gives encodes and decodes to itself. The compiled path of Produce
and Fetch takes nothing that the table codec refuses, and its replies decode.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import hashlib
import random
import shutil
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafka_py.protocol.arbitrary import Arbitrary, versions
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.framing import RequestFrame, decode_header, encode_request
from kafka_py.protocol.produce import ProduceRequest
from kafka_py.protocol.registry import API, ApiKey, all_messages
from kafka_py.protocol.schema import Message, Struct
from kafka_py.replication.partition import Partition
from kafka_py.replication.purgatory import FetchPurgatory
from kafka_py.server.fast_path import FastPath
from kafka_py.server.foresight import look_over
from kcore import Log, LogConfig, build

CORPUS = Path(__file__).parent / "corpus" / "request"
MESSAGES = {cls.__name__: cls for cls in all_messages()}
COMPILED = (ApiKey.PRODUCE, ApiKey.FETCH)
DECLINED = 0
TOPIC = "fuzzed"
TOPIC_ID = bytes(range(16))

ALLOCATION_FACTOR = 64
"""Python objects of a small struct cost about this much more than its bytes."""
ALLOCATION_BASE = 512 << 10
SECONDS_BASE = 0.05
SECONDS_A_BYTE = 20e-6

TELLING = (
    *(bytes((b,)) for b in (0, 1, 2, 0x7F, 0x80, 0xFF)),
    *(b"\xff\xff", b"\xff\xfe", b"\x7f\xff", b"\x80\x00", b"\x00\x00"),
    *(
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xfe",
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\x0f\x42\x41",
    ),
    *(b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x00", b"\x80\x00"),
    *(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80\x80\x01"),
    *(b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "é".encode(), "😀".encode()),
)
"""Values of lengths, counts, varints and text that parsers get wrong."""


class Finding(AssertionError):
    """Bytes for which an expectation does not hold."""


def without_unknown_tags(message: Any) -> Any:
    """The message without unknown tagged fields, at every depth: compiled parsers keep none."""
    message.unknown_tags = None
    for f in type(message).__fields__:
        value = getattr(message, f.name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Struct):
                without_unknown_tags(item)
    return message


def check_message(cls: type[Message], version: int, body: bytes) -> bool:
    """Decode the bytes as that message; whether they were one. Raises Finding."""
    began = time.thread_time()
    try:
        message = cls.decode(body, version)
    except MalformedRequest:
        message = None
    except BaseException as error:
        raise Finding(f"{cls.__name__} v{version} raised {error!r}") from error
    if time.thread_time() - began > SECONDS_BASE + SECONDS_A_BYTE * len(body):
        check_time(cls, version, body)
    if message is None:
        return False
    again = cls.decode(message.encode(version), version)
    # NaN is the one value that is not equal to itself; the text forms are.
    if again != message and repr(again) != repr(message):
        raise Finding(f"{cls.__name__} v{version}: {message} became {again}")
    return True


def check_time(cls: type[Message], version: int, body: bytes) -> None:
    """Decode again, now that the decoder is compiled; raises Finding when it is slow still."""
    began = time.thread_time()
    with suppress(MalformedRequest):
        cls.decode(body, version)
    spent = time.thread_time() - began
    if spent > SECONDS_BASE + SECONDS_A_BYTE * len(body):
        raise Finding(f"{cls.__name__} v{version} took {spent:.3f} s for {len(body)} bytes")


def check_allocation(cls: type[Message], version: int, body: bytes) -> None:
    """Decode under tracemalloc; raises Finding when memory grows out of proportion."""
    check_message(cls, version, body)  # compiles the decoder, which is not to be counted
    tracemalloc.start()
    try:
        cls.decode(body, version)
    except MalformedRequest:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if peak > ALLOCATION_BASE + ALLOCATION_FACTOR * len(body):
        raise Finding(f"{cls.__name__} v{version}: {peak} bytes allocated for {len(body)}")


def check_frame(frame: bytes) -> bool:
    """Decode the bytes as a request frame, by table and compiled parsers; whether they were one."""
    sized = len(frame).to_bytes(4, "big") + frame
    if look_over(compiled(), sized) != len(sized) or look_over(compiled(), frame) > len(frame):
        raise Finding("more or less was looked over than is there")
    head = check_head(frame)
    if head is None or not head.version_known:
        return False
    body = frame[head.body_start :]
    good = check_message(head.api.request, head.version, body)
    if head.api.key in COMPILED:
        check_compiled(head, body, good)
    return good


def check_compiled(head: RequestFrame, body: bytes, good: bool) -> None:
    """The compiled path takes only what the table takes, and answers what the table reads."""
    outcome, reply = compiled().request(int(head.api.key), head.version, body)
    if outcome == DECLINED:
        return
    if not good:
        raise Finding("the compiled path takes what the table refuses")
    if not reply:
        return
    start = 8 + (head.api.response_header_version(head.version) >= 1)
    try:
        head.api.response.decode(reply[start:], head.version)
    except MalformedRequest as error:
        raise Finding(f"the compiled path's reply: {error}") from error


@functools.cache
def compiled() -> FastPath:
    """The compiled path of a broker with one topic of three partitions, some of them written."""
    replicas = Hosted()
    return FastPath(
        replicas,  # type: ignore[arg-type]
        wait_for_flush=False,
        fetch_bytes_max=1 << 20,
        off_loop_bytes=1 << 16,
    )


class Hosted:
    """What the compiled path asks of a replica manager."""

    def __init__(self) -> None:
        self.fetches = FetchPurgatory()
        # It outlives this object: the compiled path keeps the partitions, and nothing else of it.
        self.directory = tempfile.mkdtemp(prefix="kafka-py-fuzz-")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        partitions = {index: self.partition(index) for index in range(3)}
        self.by_name = {TOPIC.encode(): partitions}
        self.by_id = {TOPIC_ID: partitions}

    def partition(self, index: int) -> Partition:
        """A partition that this broker leads alone."""
        made = Partition(TOPIC, TOPIC_ID, index, 1)
        path = f"{self.directory}/{TOPIC}-{index}"
        log = Log.open(path, LogConfig(), now_ms=0, clean=False)
        made.attach(log, None, 0)
        made.become_leader(leader_epoch=0, partition_epoch=0, replicas=(1,), isr=(1,), now_ms=0)
        log.append(build([(b"k", b"v")]), leader_epoch=0, now_ms=0)
        made.advance()
        return made


def check_head(frame: bytes) -> RequestFrame | None:
    """The header of a frame; None when it is refused. Raises Finding."""
    try:
        head: RequestFrame | None = decode_header(frame)
    except (MalformedRequest, UnsupportedVersion):
        head = None
    except BaseException as error:
        raise Finding(f"the header raised {error!r}") from error
    return head


class Fuzzer:
    """Makes inputs and checks them; one seed, one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.arbitrary = Arbitrary(self.random, unknown_tags=True)
        self.tried = self.good = 0
        self.last = b""

    def mutate(self, data: bytes) -> bytes:
        """The data after a few random changes."""
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 8))):
            at = self.random.randrange(len(changed) + 1)
            roll = self.random.randrange(6)
            if roll == 0:
                del changed[at:]
            elif roll == 1:
                changed[at:at] = self.random.randbytes(self.random.randrange(1, 9))
            elif roll == 2 and self.last:
                start = self.random.randrange(len(self.last))
                changed[at:] = self.last[start:]
            elif roll == 3 and at < len(changed):
                changed[at] ^= 1 << self.random.randrange(8)
            else:
                value = self.random.choice(TELLING)
                changed[at : at + self.random.choice((len(value), 1, 0))] = value
        return bytes(changed)

    def aim(self, message: Any) -> None:
        """Make a Produce or Fetch request one that the compiled path may take."""
        topics = message.topic_data if isinstance(message, ProduceRequest) else message.topics
        message.unknown_tags = {}
        for topic in topics:
            topic.unknown_tags = {}
            topic.topic_id = TOPIC_ID
            if isinstance(message, ProduceRequest):
                topic.name = TOPIC
                for one in topic.partition_data:
                    one.unknown_tags = {}
                    one.index = self.random.randrange(4)
                    one.records = build([(b"k", b"v" * self.random.randrange(50))])
            else:
                topic.topic = TOPIC
                for one in topic.partitions:
                    one.unknown_tags = {}
                    one.partition = self.random.randrange(4)
                    one.fetch_offset = self.random.randrange(-1, 4)
                    one.current_leader_epoch = self.random.choice((-1, -1, 0, 5))
                    one.last_fetched_epoch = -1
                    one.replica_directory_id = bytes(16)
                    one.high_watermark = (1 << 63) - 1
        if isinstance(message, ProduceRequest):
            message.transactional_id = None
            message.acks = self.random.randrange(-1, 2)
        else:
            message.session_id, message.session_epoch = 0, -1
            message.cluster_id, message.replica_state = None, type(message).ReplicaState()
            message.isolation_level = self.random.randrange(2)
            message.min_bytes = self.random.randrange(3)
            message.max_bytes = self.random.randrange(1 << 20)
            message.replica_id, message.forgotten_topics_data = -1, []

    def name_and_data(self) -> tuple[str, bytes]:
        """ "frame" and a request frame, or "Class-version" and a body; most are damaged."""
        if self.random.random() < 0.6:
            api = self.random.choice(list(API.values()))
            if self.random.random() < 0.3:
                api = API[self.random.choice(COMPILED)]
            version = self.random.choice(versions(api.request))
            message = self.arbitrary.message(api.request, version)
            if api.key in COMPILED and self.random.random() < 0.7:
                self.aim(message)
            parts = encode_request(message, version, 7, "fuzz")
            name, data = "frame", b"".join(parts)[4:]
        else:
            cls = self.random.choice(list(MESSAGES.values()))
            version = self.random.choice(versions(cls))
            data = self.arbitrary.message(cls, version).encode(version)
            name = f"{cls.__name__}-{version}"
        hurt = data if self.random.random() < 0.05 else self.mutate(data)
        self.last = data
        return name, hurt

    def once(self) -> None:
        """One input; raises Finding with the input in `found`."""
        name, data = self.name_and_data()
        self.found = (name, data)
        self.tried += 1
        self.good += check(name, data, allocation=self.tried % 50 == 0)


def check(name: str, data: bytes, allocation: bool = False) -> bool:
    """Check an input under its name ("frame..." or "Class-version..."); whether it was good."""
    kind, _, rest = name.partition("-")
    if kind == "frame":
        return check_frame(data)
    cls, version = MESSAGES[kind], int(rest.partition("-")[0])
    if allocation:
        check_allocation(cls, version, data)
    return check_message(cls, version, data)


def replay(directory: Path = CORPUS) -> int:
    """Check every file of the corpus; how many there were."""
    files = sorted(directory.glob("*.bin"))
    for path in files:
        check(path.stem, path.read_bytes(), allocation=True)
    return len(files)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--save", type=Path, default=CORPUS, help="where a finding's input goes")
    options = parser.parse_args()
    seed = time.time_ns() if options.seed is None else options.seed
    print(f"request fuzzer: corpus of {replay()}, seed {seed}", flush=True)
    fuzzer = Fuzzer(seed)
    until = time.monotonic() + options.seconds
    try:
        while time.monotonic() < until:
            fuzzer.once()
    except Finding as finding:
        name, data = fuzzer.found
        path = options.save / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        options.save.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"FOUND after {fuzzer.tried} inputs, kept as {path}: {finding}", file=sys.stderr)
        return 1
    print(f"{fuzzer.tried} inputs, {fuzzer.good} well-formed, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
