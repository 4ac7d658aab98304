"""Questions about transactions to their coordinator, put to both brokers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.transactions import InitProducerIdRequest
from tests.oracle.raw import Recorder

FIND, INIT, ADD, OFFSETS, END = (
    ApiKey.FIND_COORDINATOR,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.END_TXN,
)
DESCRIBE, LIST = ApiKey.DESCRIBE_TRANSACTIONS, ApiKey.LIST_TRANSACTIONS
CONCURRENT = 51
TOPIC = "txn-a"


class Producer:
    """A transactional producer of a scenario, who knows what the broker last told him."""

    def __init__(self, r: Recorder, name: str, timeout_ms: int = 60_000) -> None:
        self.r = r
        self.name = name
        self.timeout_ms = timeout_ms
        self.id = -1
        self.epoch = -1
        ids: dict[int, str] = {}
        r.masks["producer_id"] = lambda v: ids.setdefault(v, f"<{len(ids)}>") if v >= 0 else v
        r.masks["transaction_start_time_ms"] = lambda v: "<time>" if v > 0 else v

    def settled(self) -> Producer:
        """Wait until no markers are on their way."""
        deadline = time.monotonic() + 15
        while True:
            found = self.r.quiet(DESCRIBE, transactional_ids=[self.name])
            state = found.transaction_states[0].transaction_state
            if not state.startswith("Prepare"):
                return self
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    def init(self, version: int = 5, *, keep: bool = False, **more: Any) -> Any:
        """InitProducerId; ``keep`` says who asks (KIP-360)."""
        known = {"producer_id": self.id, "producer_epoch": self.epoch} if keep else {}
        reply = self.settled().r.ask(
            INIT,
            version,
            **{
                "transactional_id": self.name,
                "transaction_timeout_ms": self.timeout_ms,
                "producer_id": -1,
                "producer_epoch": -1,
                **known,
                **more,
            },
        )
        if reply is not None and reply.error_code == 0:
            self.id, self.epoch = reply.producer_id, reply.producer_epoch
        return reply

    def add(
        self,
        *partitions: int,
        version: int = 3,
        topic: str = TOPIC,
        verify: bool = False,
        **more: Any,
    ) -> Any:
        """AddPartitionsToTxn, in the shape of the version."""
        topics = [{"name": topic, "partitions": list(partitions)}]
        who = {
            "transactional_id": self.name,
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            **more,
        }
        if version < 4:
            fields = {f"v3_and_below_{name}": value for name, value in who.items()}
            return self.r.ask(ADD, version, **fields, v3_and_below_topics=topics)
        row = {**who, "verify_only": verify, "topics": topics}
        return self.r.ask(ADD, version, transactions=[row])

    def add_offsets(self, group: str = "txn-group", version: int = 4, **more: Any) -> Any:
        """AddOffsetsToTxn."""
        fields = {
            "transactional_id": self.name,
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "group_id": group,
            **more,
        }
        return self.r.ask(OFFSETS, version, **fields)

    def end(self, commit: bool, version: int = 5, **more: Any) -> Any:
        """EndTxn; what it says of id and epoch (5+) is taken over."""
        fields = {
            "transactional_id": self.name,
            "producer_id": self.id,
            "producer_epoch": self.epoch,
            "committed": commit,
            **more,
        }
        reply = self.r.ask(END, version, **fields)
        if version >= 5 and reply is not None and reply.error_code == 0:
            self.id, self.epoch = reply.producer_id, reply.producer_epoch
        return reply

    def describe(self) -> None:
        """DescribeTransactions, when nothing moves."""
        self.settled().r.ask(DESCRIBE, transactional_ids=[self.name])


def ready(r: Recorder, *names: str, topic: str = TOPIC) -> None:
    """The topics are there, and the coordinators loaded."""
    r.create(topic, 3)
    deadline = time.monotonic() + 20
    for key_type, keys in ((1, ["first", *names]), (0, ["txn-group"])):
        asked = {"coordinator_keys": list(keys), "key_type": key_type}
        while any(c.error_code for c in r.quiet(FIND, 4, **asked).coordinators):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    # Apache's first block of producer ids is under way while the first of them is asked for.
    while r.quiet(INIT, 5, transactional_id=None, transaction_timeout_ms=1000).error_code:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while (
        any(
            row.error_code in (14, 15, 16)
            for row in r.quiet(DESCRIBE, transactional_ids=list(names)).transaction_states
        )
        or r.quiet(LIST, 2).error_code
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def versions(r: Recorder) -> tuple[int, ...]:
    """Versions of AddPartitionsToTxn: the classic one; one of KIP-890's where that may be used."""
    who = {"client_software_name": "oracle", "client_software_version": "1"}
    found = r.quiet(ApiKey.API_VERSIONS, 4, **who).finalized_features
    return (3, 5) if any(f.name == "transaction.version" for f in found) else (3,)


def before_the_topic(r: Recorder) -> None:
    """Nobody has asked for a coordinator yet; then __transaction_state is there, as Kafka's."""
    Producer(r, "early").init()
    r.ask(LIST, 2)
    r.ask(DESCRIBE, transactional_ids=["early", ""])
    r.ask(FIND, 4, coordinator_keys=["early"], key_type=1)
    ready(r, "early")
    r.settle()
    row = {"resource_type": 2, "resource_name": "__transaction_state"}
    names = ["cleanup.policy", "segment.bytes", "compression.type", "min.insync.replicas"]
    row = {**row, "configuration_keys": [*names, "unclean.leader.election.enable"]}
    r.ask(ApiKey.DESCRIBE_CONFIGS, 4, resources=[row])
    asked = [{"name": "__transaction_state"}]
    r.ask(ApiKey.METADATA, 12, topics=asked, allow_auto_topic_creation=False)
    for version in range(1, 7):
        fields: dict[str, Any] = {"coordinator_keys": ["early", ""], "key": "early", "key_type": 1}
        r.ask(FIND, version, **fields)


def init_every_version(r: Recorder) -> None:
    """The epoch grows with each version; what each refuses."""
    ready(r, "init")
    p = Producer(r, "init")
    for version in range(6):
        p.init(version)
        p.init(version, transaction_timeout_ms=0)
        p.init(version, transaction_timeout_ms=-1)
        p.init(version, transaction_timeout_ms=900_001)
        p.init(version, transactional_id="")
    for version in (3, 4, 5):
        p.init(version, producer_id=p.id)
        p.init(version, producer_epoch=0)
        p.init(version, keep=True)
        # The bump is retried with the epoch before; then with one that is long gone.
        p.init(version, keep=True, producer_epoch=p.epoch - 1)
        p.init(version, keep=True, producer_epoch=p.epoch - 2)
        p.init(version, keep=True, producer_epoch=p.epoch + 1)
        p.init(version, keep=True, producer_id=p.id + 777_777)
        p.init(version)
        p.init(version, keep=True, producer_epoch=p.epoch - 1)
    p.init(transaction_timeout_ms=900_000)
    p.describe()
    fresh = Producer(r, "init-fresh")
    fresh.init(producer_id=12_345_678, producer_epoch=7)
    fresh.describe()


def classic_transactions(r: Recorder) -> None:
    """The protocol before KIP-890's second part, every version of each request."""
    ready(r, "classic", "classic-2")
    p = Producer(r, "classic")
    p.add(0, producer_id=0, producer_epoch=0)
    for version in range(4):
        p.init()
        p.end(True, 4)
        p.end(False, 4)
        p.add(0, version=version)
        p.add(0, 1, version=version)
        p.add(1, version=version)
        p.describe()
        p.add(9, 0, version=version)
        p.add(0, version=version, topic="txn-nope")
        p.add(0, version=version, topic="__consumer_offsets")
        p.add(99, version=version, topic="__transaction_state")
        p.add(0, version=version, producer_epoch=p.epoch + 1)
        p.add(0, version=version, producer_id=p.id + 777_777)
        p.add(0, version=version, transactional_id="classic-nobody")
        p.add(0, version=version, transactional_id="")
        p.add_offsets(version=version)
        p.add_offsets(version=version, producer_epoch=p.epoch - 1)
        p.add_offsets(version=version, producer_id=p.id + 777_777)
        p.add_offsets(version=version, transactional_id="")
        p.add_offsets(version=version, group="")
        p.describe()
        for ends in range(5):
            p.end(True, ends, producer_epoch=p.epoch - 1)
            p.end(True, ends, producer_id=p.id + 777_777)
            p.end(True, ends, transactional_id="classic-nobody")
            p.end(True, ends, transactional_id="")
        commit = version % 2 == 0
        p.end(commit, version)
        p.describe()
        p.end(commit, version)
        p.end(not commit, version)
        p.describe()


def bumping_transactions(r: Recorder) -> None:
    """KIP-890's second part: every end bumps the epoch, and is retried with the one before."""
    ready(r, "bumping")
    p = Producer(r, "bumping")
    p.init()
    if 5 not in versions(r):
        # Apache's coordinator does not get over these, so there is one for each.
        p.add(0, version=5)
        p = Producer(r, "bumping-end")
        p.init()
        p.end(False)
        return
    p.end(True)
    p.end(False, producer_epoch=p.epoch - 1)
    p.end(False)
    p.describe()
    for commit in (True, False, True):
        p.settled().add(0, 1, version=5)
        p.add(1, 2, version=4)
        p.add(1, 2, version=5, verify=True)
        p.add(0, 1, 2, version=5, verify=True, producer_epoch=p.epoch - 1)
        p.add(0, version=5, verify=True, producer_id=p.id + 777_777)
        p.add(0, version=5, verify=True, transactional_id="bumping-nobody")
        p.add(0, version=5, verify=True, transactional_id="")
        p.add(9, 0, version=5, verify=True)
        p.add(0, version=5, verify=True, topic="__consumer_offsets")
        p.describe()
        p.end(commit, producer_epoch=p.epoch - 1)
        p.end(commit, producer_epoch=p.epoch + 1)
        p.end(commit)
        before = p.epoch - 1
        p.settled().end(commit, producer_epoch=before)
        p.end(not commit, producer_epoch=before)
        p.end(not commit, producer_epoch=before - 1)
        p.end(True)
        p.add(0, version=5, verify=True)
        p.describe()
        p.end(False)
        p.settled().end(False)
        p.describe()


def verified(r: Recorder) -> None:
    """KIP-890's first part: is a partition in the ongoing transaction?"""
    ready(r, "verified", "verified-2")
    p, q = Producer(r, "verified"), Producer(r, "verified-2")
    p.init()
    q.init()
    p.add(0, version=4, verify=True)
    p.add(0)
    p.add(0, version=4, verify=True)
    p.add(0, 1, version=4, verify=True)
    rows = [
        {
            "transactional_id": one.name,
            "producer_id": one.id,
            "producer_epoch": one.epoch,
            "verify_only": only,
            "topics": [{"name": TOPIC, "partitions": [0, 2]}],
        }
        for one, only in ((p, True), (q, 5 not in versions(r)))
    ]
    r.ask(ADD, 5, transactions=rows)
    p.end(True, 4)
    p.settled().add(0, version=4, verify=True)
    q.end(False, 4)
    q.describe()


def another_producer(r: Recorder) -> None:
    """A second producer of one transactional id ends the transaction of the first."""
    ready(r, "fence")
    p = Producer(r, "fence")
    p.init()
    for version in versions(r):
        old_id, old_epoch = p.id, p.epoch
        p.add(0, 1, version=version)
        p.init()
        p.describe()
        p.init()
        old = {"producer_id": old_id, "producer_epoch": old_epoch}
        p.add(0, version=3, **old)
        p.add(0, version=1, **old)
        p.end(True, 4, **old)
        p.end(True, 1, **old)
        p.end(True, 5, **old)
        p.describe()
        # The same producer starts again with what it has, in the middle.
        p.add(2, version=version)
        p.init(keep=True)
        p.describe()
        p.init(keep=True, **old)
        p.init()
        p.describe()


def timed_out(r: Recorder) -> None:
    """A transaction whose time is up is aborted, and its producer shut out."""
    ready(r, "slow")
    p = Producer(r, "slow", timeout_ms=500)
    for version in versions(r):
        p.init()
        p.add(0, 1, version=version)
        p.describe()
        deadline = time.monotonic() + 15
        while r.quiet(DESCRIBE, transactional_ids=["slow"]).transaction_states[0].topics:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        p.describe()
        p.add(0, version=version)
        p.end(True, 4 if version == 3 else 5)
        p.init(keep=True)


def described_and_listed(r: Recorder) -> None:
    """Filters of state, producer, age and pattern; ids that nobody has."""
    names = ("listed-a", "listed-b", "listed-c")
    ready(r, *names)
    a, b, c = (Producer(r, name) for name in names)
    ids: dict[int, str] = {}
    r.masks["producer_id"] = lambda v: ids.setdefault(v, f"<{len(ids)}>") if v >= 0 else v
    for one in (a, b, c):
        one.init()
    b.add(0, 2)
    b.add_offsets()
    c.add(1)
    c.end(True, 4)
    c.settled()
    r.ask(DESCRIBE, transactional_ids=[*names, "", "listed-nobody", "listed-a"])
    pattern = {"transactional_id_pattern": "listed-.*"}
    r.ask(LIST, 2, **pattern, duration_filter=-1)
    for states in (["Ongoing"], ["Empty", "CompleteCommit"], ["ongoing"], ["Nope", "Ongoing"]):
        r.ask(LIST, 2, **pattern, state_filters=states, duration_filter=-1)
    r.ask(LIST, 2, **pattern, state_filters=["Dead", "PrepareEpochFence"], duration_filter=-1)
    r.ask(LIST, 2, producer_id_filters=[a.id, c.id], duration_filter=-1)
    r.ask(LIST, 1, producer_id_filters=[b.id], duration_filter=0)
    r.ask(LIST, 0, producer_id_filters=[b.id], state_filters=["Ongoing"])
    for duration in (0, 1_000_000, 1 << 60):
        r.ask(LIST, 2, **pattern, duration_filter=duration)
    for text in ("", "listed", "listed-[ab]", ".*-c", "(", "listed-(?=a)"):
        r.ask(LIST, 2, producer_id_filters=[a.id, b.id], transactional_id_pattern=text)
    b.end(False, 4)
    b.describe()


def partitions_that_go(r: Recorder) -> None:
    """A topic is deleted while a transaction has its partitions: the end needs no markers there."""
    ready(r, "goes")
    r.create("txn-gone", 2)
    p = Producer(r, "goes")
    p.init()
    p.add(0, 1, topic="txn-gone")
    p.add(0)
    r.quiet(ApiKey.DELETE_TOPICS, 5, topic_names=["txn-gone"], timeout_ms=10_000)
    r.settle()
    p.end(True, 4)
    p.describe()
    p.add(0, topic="txn-gone")


def exhausted_epochs(r: Recorder) -> None:
    """The last epochs of a producer id, and the next id, in every way there is."""
    ready(r, "many", "many-2")
    for name, version in (("many", 3), ("many-2", 5)):
        p = Producer(r, name)
        p.init()
        bump(r, p, 32_764)
        # Close to the end: fenced by another, gone on after an error.
        p.init(keep=True)
        p.describe()
        if version == 5:
            for commit in (True, False, True):
                p.settled().add(0, version=5)
                p.describe()
                last = {"producer_id": p.id, "producer_epoch": p.epoch}
                p.end(commit)
                p.settled().end(commit, **last)
                p.end(not commit, **last)
                p.describe()
        else:
            p.add(0)
            p.init()
            p.describe()
            last = {"producer_id": p.id, "producer_epoch": 32_766}
            p.init()
            p.init(**last)
            p.describe()


def bump(r: Recorder, p: Producer, until: int) -> None:
    """InitProducerId until the epoch is so high, unrecorded, many requests under way at once."""
    request = InitProducerIdRequest(transactional_id=p.name, transaction_timeout_ms=p.timeout_ms)
    while p.epoch < until:
        for reply in r.client.pipeline([request] * min(500, until - p.epoch), 5):
            assert reply.error_code in (0, CONCURRENT), reply
            if reply.error_code == 0:
                p.id, p.epoch = reply.producer_id, reply.producer_epoch


SCENARIOS: Sequence[Any] = [
    before_the_topic,
    init_every_version,
    classic_transactions,
    bumping_transactions,
    verified,
    another_producer,
    timed_out,
    described_and_listed,
    partitions_that_go,
]
#: Takes a minute, most of it in Apache's broker.
LONG: Sequence[Any] = [exhausted_epochs]
