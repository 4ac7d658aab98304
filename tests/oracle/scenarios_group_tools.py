"""Commands about groups, run on both brokers, and the states that they are run in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kafka_py.protocol.registry import ApiKey
from tests.oracle.group_peers import Peer, Stage, assignment, join_and_sync, join_fields
from tests.oracle.node import Node
from tests.oracle.raw import Recorder, batch
from tests.oracle.scenarios_consumer_groups import FIRST, fields, owning
from tests.oracle.scenarios_offsets import rows, simple

#: The first record of partition 0; one each 10 ms, 20 in each partition of t-reset.
FIRST_TIMESTAMP = 1_700_000_000_000
RECORDS = 20


@dataclass
class Set:
    """A state of a broker, by whoever holds it open: connections of the live members."""

    recorder: Recorder
    stage: Stage
    peers: list[Peer]
    beats: list[tuple[Peer, ApiKey, int, dict[str, object]]]

    def stay(self) -> None:
        """Let the live members say that they live."""
        for peer, api, version, words in self.beats:
            peer.quiet(api, version, **words)

    def close(self) -> None:
        """Close all connections."""
        self.stage.__exit__()
        self.recorder.close()


def prepare(node: Node) -> Set:
    """Topics with records, and groups: empty, live, of both protocols, without a member."""
    r = Recorder(node.port, FIRST_TIMESTAMP)
    stage = Stage(r)
    for topic, partitions in (("t-reset", 3), ("t-other", 1)):
        r.create(topic, partitions)
        for partition in range(partitions):
            records = [(b"k", b"v%d" % i) for i in range(RECORDS)]
            start = FIRST_TIMESTAMP + 1000 * partition
            for i in range(0, RECORDS, 5):
                data = batch(records[i : i + 5], first_timestamp=start + 10 * i)
                r.produce(topic, data, partition)
    for group in ("g-reset", "g-delete", "g-forget", "g-spare"):
        both = rows("t-reset", (0, 5), (1, 7)) + rows("t-other", (0, 3))
        r.quiet(ApiKey.OFFSET_COMMIT, 9, **simple(group, both))
    a = stage.peer()
    member, generation = join_and_sync(stage, a, "g-classic", "A", group_instance_id="inst-1")
    _assign(a, "g-classic", member, generation)
    words = {"member_id": member, "generation_id_or_member_epoch": generation}
    words["group_instance_id"] = "inst-1"
    r.quiet(ApiKey.OFFSET_COMMIT, 9, **{**simple("g-classic", rows("t-reset", (0, 4))), **words})
    b = stage.peer()
    first = {**FIRST, "subscribed_topic_names": ["t-reset"], "rack_id": "rack-1"}
    reply = b.quiet(
        ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **fields("g-consumer", "member-one", 0, **first)
    )
    topic_id = _id(r, "t-reset")
    words = fields("g-consumer", "member-one", reply.member_epoch)
    held = {**words, "topic_partitions": owning(topic_id, [0, 1, 2])}
    b.quiet(ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, **held)
    commit = {"member_id": "member-one", "generation_id_or_member_epoch": reply.member_epoch}
    good = rows("t-reset", (0, 6), (1, 20))
    r.quiet(ApiKey.OFFSET_COMMIT, 9, **{**simple("g-consumer", good), **commit})
    live = {"group_id": "g-classic", "generation_id": generation, "member_id": member}
    live["group_instance_id"] = "inst-1"
    beats = [
        (a, ApiKey.HEARTBEAT, 4, live),
        (b, ApiKey.CONSUMER_GROUP_HEARTBEAT, 1, words),
    ]
    return Set(r, stage, [a, b], beats)


def _assign(peer: Peer, group: str, member: str, generation: int) -> None:
    """Make the static member the leader of a generation in which it holds t-reset."""
    from tests.oracle.group_peers import subscription

    known = [{"name": "range", "metadata": subscription("t-reset")}]
    words = {"group_instance_id": "inst-1", "protocols": known, "session_timeout_ms": 300_000}
    joined = peer.quiet(ApiKey.JOIN_GROUP, 9, **join_fields(group, member, **words))
    assert joined.error_code == 0, joined
    assert joined.generation_id >= generation
    mine = [{"member_id": member, "assignment": assignment({"t-reset": [0, 2]})}]
    synced = peer.quiet(
        ApiKey.SYNC_GROUP,
        5,
        group_id=group,
        generation_id=joined.generation_id,
        member_id=member,
        group_instance_id="inst-1",
        protocol_type="consumer",
        protocol_name="range",
        assignments=mine,
    )
    assert synced.error_code == 0, synced


def _id(r: Recorder, topic: str) -> str:
    from kafka_py.protocol.types import uuid_to_text

    reply = r.quiet(ApiKey.METADATA, 12, topics=[{"name": topic}], allow_auto_topic_creation=False)
    return uuid_to_text(reply.topics[0].topic_id)


def files(folder: Path) -> None:
    """The plans that --from-file reads."""
    (folder / "plan.csv").write_text('"t-reset",0,2\n"t-reset",2,19\n')
    (folder / "plans.csv").write_text('"g-reset","t-reset",0,1\n"g-spare","t-other",0,2\n')
    (folder / "broken.csv").write_text("t-reset;0;2\n")
    (folder / "beyond.csv").write_text('"t-reset",0,2000\n')


_RESET = "consumer-groups --reset-offsets --group g-reset"
#: One list: later commands see what earlier ones did. FOLDER is that of ``files``.
COMMANDS = f"""
consumer-groups --list
consumer-groups --list --state
consumer-groups --list --state Stable
consumer-groups --list --state stable,empty
consumer-groups --list --state Nonsense
consumer-groups --list --type
consumer-groups --list --type consumer
consumer-groups --list --type classic --state
consumer-groups --list --type nonsense
groups --list
groups --list --group-type classic
groups --list --group-type consumer
groups --list --group-type share
groups --list --group-type nonsense
groups --list --protocol consumer
groups --list --consumer
groups --list --share
groups --list --protocol other
consumer-groups --describe --group g-reset
consumer-groups --describe --group g-reset --offsets --verbose
consumer-groups --describe --group g-reset --members
consumer-groups --describe --group g-reset --state
consumer-groups --describe --group g-classic
consumer-groups --describe --group g-classic --offsets --verbose
consumer-groups --describe --group g-classic --members
consumer-groups --describe --group g-classic --members --verbose
consumer-groups --describe --group g-classic --state
consumer-groups --describe --group g-classic --state --verbose
consumer-groups --describe --group g-consumer
consumer-groups --describe --group g-consumer --offsets --verbose
consumer-groups --describe --group g-consumer --members
consumer-groups --describe --group g-consumer --members --verbose
consumer-groups --describe --group g-consumer --state
consumer-groups --describe --group g-consumer --state --verbose
consumer-groups --describe --all-groups --state
consumer-groups --describe --all-groups
consumer-groups --describe --group g-nope
consumer-groups --describe --group g-nope --members
consumer-groups --describe --group g-nope --state
consumer-groups --describe --group g-classic --members --state
{_RESET} --topic t-reset --to-earliest --dry-run
{_RESET} --topic t-reset --to-latest
{_RESET} --topic t-reset --to-latest --execute
consumer-groups --describe --group g-reset
{_RESET} --topic t-reset --to-earliest --execute
{_RESET} --topic t-reset:0,2 --to-offset 9 --execute
{_RESET} --topic t-reset:0 --to-offset 900 --execute
{_RESET} --topic t-reset:0 --to-offset -5 --execute
{_RESET} --topic t-reset:0 --to-current --execute
{_RESET} --topic t-reset:0 --shift-by 3 --execute
{_RESET} --topic t-reset:0 --shift-by -4 --execute
{_RESET} --topic t-reset:0 --shift-by 400 --execute
{_RESET} --topic t-reset:0 --shift-by -400 --execute
{_RESET} --topic t-reset --to-datetime 2023-11-14T22:13:21.005 --execute
{_RESET} --topic t-reset --to-datetime 2023-11-14T22:13:20.105+00:00 --execute
{_RESET} --topic t-reset --to-datetime 2100-01-01T00:00:00.000 --execute
{_RESET} --topic t-reset --to-datetime yesterday --execute
{_RESET} --topic t-reset --by-duration P10000D --execute
{_RESET} --topic t-reset --by-duration PT0S --execute
{_RESET} --topic t-reset --by-duration soon --execute
{_RESET} --topic t-reset --from-file FOLDER/plan.csv
{_RESET} --topic t-reset --from-file FOLDER/plan.csv --execute
{_RESET} --topic t-reset --from-file FOLDER/beyond.csv --execute
{_RESET} --topic t-reset --from-file FOLDER/broken.csv --execute
{_RESET} --group g-spare --from-file FOLDER/plans.csv --dry-run --export
{_RESET} --all-topics --to-current --export
{_RESET} --all-topics --to-earliest --export --dry-run
{_RESET} --group g-spare --all-topics --to-latest --export
{_RESET} --all-topics --to-latest --execute
consumer-groups --describe --group g-reset
consumer-groups --reset-offsets --all-groups --topic t-other --to-earliest --dry-run
{_RESET} --topic t-nope --to-earliest --execute
{_RESET} --topic t-reset:9 --to-earliest --execute
{_RESET} --to-earliest --execute
{_RESET} --topic t-reset --execute
{_RESET} --topic t-reset --to-earliest --execute --dry-run
consumer-groups --reset-offsets --group g-new --topic t-reset --to-offset 3 --execute
consumer-groups --describe --group g-new
consumer-groups --reset-offsets --group g-new2 --all-topics --to-offset 3 --execute
consumer-groups --reset-offsets --group g-classic --topic t-reset --to-earliest --execute
consumer-groups --reset-offsets --group g-consumer --topic t-reset --to-earliest --execute
consumer-groups --reset-offsets --group g-consumer --topic t-reset --to-earliest --dry-run
consumer-groups --delete-offsets --group g-forget --topic t-reset:0
consumer-groups --delete-offsets --group g-forget --topic t-reset:0
consumer-groups --delete-offsets --group g-forget --topic t-reset --topic t-other
consumer-groups --delete-offsets --group g-forget --topic t-nope
consumer-groups --delete-offsets --group g-classic --topic t-reset
consumer-groups --delete-offsets --group g-consumer --topic t-reset
consumer-groups --delete-offsets --group g-nope --topic t-reset
consumer-groups --describe --group g-forget
consumer-groups --delete --group g-delete
consumer-groups --delete --group g-delete
consumer-groups --delete --group g-nope --group g-spare
consumer-groups --delete --group g-classic
consumer-groups --delete --group g-consumer
consumer-groups --delete --all-groups
consumer-groups --delete
consumer-groups --list
groups --list
""".strip().splitlines()
