"""kcore.checkpoints: every file byte for byte as Apache Kafka 4.3.1 wrote it, and damaged ones."""

import pytest

from kcore import checkpoints
from kcore.checkpoints import (
    CleanShutdown,
    MetaProperties,
    OffsetCheckpoint,
    PartitionMetadata,
    decode_properties,
    encode_properties,
)
from kcore.errors import CorruptFile

RECOVERY_POINTS = b"""\
0
10
idem 0 168
compacted 0 200
__transaction_state 0 10
plain 1 100
__transaction_state 1 10
plain 0 100
__transaction_state 2 8
__transaction_state 3 0
__transaction_state 4 10
txn 0 35
"""
LOG_STARTS = b"0\n1\nplain 0 10\n"
META = b"""\
#
#Tue Nov 24 10:54:34 UTC 2026
node.id=1
directory.id=txGdEyUZPItHiRK1FEppYA
version=1
cluster.id=1QEPXtWVTUCBcPlEVbsMZA
"""
META_WRITTEN_MS = 1795517674000
PARTITION = b"version: 0\ntopic_id: I6VfrbIPQhGzP99F7C52-g"
CLEAN = b'{"version":0,"brokerEpoch":363}'


class TestOffsets:
    @pytest.mark.parametrize("golden", [RECOVERY_POINTS, LOG_STARTS])
    def test_apaches_bytes(self, golden):
        offsets = OffsetCheckpoint.decode(golden)
        assert OffsetCheckpoint.encode(offsets) == golden

    def test_values(self):
        offsets = OffsetCheckpoint.decode(RECOVERY_POINTS)
        assert len(offsets) == 10
        assert offsets["__transaction_state", 2] == 8
        assert offsets["txn", 0] == 35

    def test_an_empty_file_is_an_empty_checkpoint(self):
        # Apache creates its checkpoint files empty, and writes "0\n0\n" later.
        assert OffsetCheckpoint.decode(b"") == {}
        assert OffsetCheckpoint.decode(b"0\n0\n") == {} != OffsetCheckpoint.encode({})
        assert OffsetCheckpoint.encode({}) == b"0\n0\n"

    def test_files(self, tmp_path):
        checkpoint = OffsetCheckpoint(tmp_path / checkpoints.RECOVERY_POINT_CHECKPOINT)
        assert checkpoint.read() == {}
        checkpoint.write({("a", 0): 1})
        checkpoint.write({("a", 0): 2, ("b.c-d", 11): 2**63 - 1})
        assert checkpoint.path.read_bytes() == b"0\n2\na 0 2\nb.c-d 11 9223372036854775807\n"
        assert checkpoint.read() == {("a", 0): 2, ("b.c-d", 11): 2**63 - 1}
        assert [path.name for path in tmp_path.iterdir()] == [checkpoint.path.name]

    @pytest.mark.parametrize(
        ("data", "position", "reason"),
        [
            (b"0\n1\na 0\n", 4, "not `topic partition offset`"),
            (b"0\n1\na 0 1 2\n", 4, "not `topic partition offset`"),
            (b"0\n2\na 0 1\na 0 2\n", 10, "twice"),
            (b"0\n1\na x 1\n", 4, "the partition is 'x'"),
            (b"0\n1\na 0 -1\n", 4, "negative"),
            (b"0\n1\na 0 9223372036854775808\n", 4, "out of range"),
            (b"0\n1\na 0 99999999999999999999\n", 4, "not a number"),
            (b"0\n3\na 0 1\n", 2, "3 entries announced, 1 there"),
            (b"7\n0\n", 0, "version 7"),
            (b"0\n1\na 0 1\n\x00\x00\x00\x00", 2, "1 entries announced, 2 there"),
        ],
    )
    def test_damage(self, tmp_path, data, position, reason):
        path = tmp_path / "recovery-point-offset-checkpoint"
        path.write_bytes(data)
        with pytest.raises(CorruptFile, match=reason) as caught:
            OffsetCheckpoint(path).read()
        assert (caught.value.where, caught.value.position) == (str(path), position)


class TestMetaProperties:
    def test_apaches_bytes(self):
        meta = MetaProperties.decode(META)
        assert meta == MetaProperties(
            "1QEPXtWVTUCBcPlEVbsMZA", 1, directory_id="txGdEyUZPItHiRK1FEppYA"
        )
        assert meta.encode(now_ms=META_WRITTEN_MS) == META

    def test_files(self, tmp_path):
        assert MetaProperties.read(tmp_path) is None
        meta = MetaProperties("a:b", 7, None, other={"some.key": "v w"})
        meta.write(tmp_path, now_ms=0)
        assert (tmp_path / "meta.properties").read_bytes() == (
            b"#\n#Thu Jan 01 00:00:00 UTC 1970\n"
            b"node.id=7\nversion=1\ncluster.id=a\\:b\nsome.key=v w\n"
        )
        assert MetaProperties.read(tmp_path) == meta

    def test_version_0_has_a_broker_id(self):
        meta = MetaProperties.decode(b"version=0\nbroker.id=3\ncluster.id=x\n")
        assert (meta.version, meta.node_id) == (0, 3)

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "cluster.id is missing"),
            (b"version=1\ncluster.id=x\n", "node.id is missing"),
            (b"version=2\nnode.id=1\ncluster.id=x\n", "version 2"),
            (b"version=1\nnode.id=one\ncluster.id=x\n", "node.id is 'one'"),
            (b"version=1\nnode.id=1\ncluster.id=\\u00zz\n", "escape"),
        ],
    )
    def test_damage(self, data, reason):
        with pytest.raises(CorruptFile, match=f"^dir/meta.properties: .*{reason}"):
            MetaProperties.decode(data, "dir/meta.properties")


class TestProperties:
    def test_the_language(self):
        text = (
            b"! comment\n# another\n\n  a=1\r\nb : 2\nc 3\nd\ne=x\\\n   y\n"
            b"f\\=g=h\\:i\ntab=\\t\\u00e9\\ud83d\\ude00\ntwice=1\ntwice=2\nlast=no newline\\"
        )
        assert decode_properties(text) == {
            "a": "1",
            "b": "2",
            "c": "3",
            "d": "",
            "e": "xy",
            "f=g": "h:i",
            "tab": "\t\u00e9\U0001f600",
            "twice": "2",
            "last": "no newline",
        }

    def test_round_trip(self):
        properties = {"a b": " c d ", "=:#!\\": "\t\n\r\f", "\u00e9": "\U0001f600", "": ""}
        assert decode_properties(encode_properties(properties, now_ms=0)) == properties


class TestPartitionMetadata:
    def test_apaches_bytes(self):
        metadata = PartitionMetadata.decode(PARTITION)
        assert metadata.topic_id.hex() == "23a55fadb20f4211b33fdf45ec2e76fa"
        assert metadata.encode() == PARTITION

    def test_files(self, tmp_path):
        assert PartitionMetadata.read(tmp_path) is None
        PartitionMetadata(bytes(15) + b"\x01").write(tmp_path)
        written = (tmp_path / "partition.metadata").read_bytes()
        assert written == b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"
        assert PartitionMetadata.read(tmp_path).topic_id == bytes(15) + b"\x01"

    @pytest.mark.parametrize(
        ("data", "position", "reason"),
        [
            (b"", 0, "missing"),
            (b"version: 0\n", 11, "missing"),
            (b"version: -1\ntopic_id: I6VfrbIPQhGzP99F7C52-g", 0, "negative"),
            (b"version 0\ntopic_id: I6VfrbIPQhGzP99F7C52-g", 0, "not `version: ...`"),
            (b"version: 0\ntopicid: I6VfrbIPQhGzP99F7C52-g", 11, "not `topic_id: ...`"),
            (b"version: 0\ntopic_id: I6VfrbIPQhGzP99F7C52", 11, "not that of a topic"),
            (b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", 11, "not that of a topic"),
            (b"version: 0\ntopic_id: !6VfrbIPQhGzP99F7C52-g", 11, "not that of a topic"),
        ],
    )
    def test_damage(self, data, position, reason):
        with pytest.raises(CorruptFile, match=reason) as caught:
            PartitionMetadata.decode(data)
        assert caught.value.position == position


class TestCleanShutdown:
    def test_apaches_bytes(self):
        assert CleanShutdown.decode(CLEAN) == CleanShutdown(363)
        assert CleanShutdown(363).encode() == CLEAN

    def test_files(self, tmp_path):
        assert not CleanShutdown.exists(tmp_path)
        assert CleanShutdown.read(tmp_path) is None
        assert not CleanShutdown.delete(tmp_path)
        CleanShutdown(-1).write(tmp_path)
        assert CleanShutdown.exists(tmp_path)
        assert CleanShutdown.read(tmp_path) == CleanShutdown(-1)
        assert CleanShutdown.delete(tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "data",
        [b"", b"{}", b"[]", b'{"version":1,"brokerEpoch":3}', b'{"version":0,"brokerEpoch":"3"}'],
    )
    def test_damage(self, data):
        with pytest.raises(CorruptFile):
            CleanShutdown.decode(data)


class TestShortTexts:
    """They are parsed once and remembered; nobody may notice."""

    def test_what_is_remembered_is_nobody_elses(self):
        first = checkpoints.decode_leader_epochs(b"0\n1\n3 17\n")
        first.append((4, 18))
        assert checkpoints.decode_leader_epochs(b"0\n1\n3 17\n") == [(3, 17)]

    @pytest.mark.parametrize("where", ["a-0/leader-epochs", "b-1/leader-epochs"])
    def test_a_damaged_one_is_told_with_its_place(self, where):
        with pytest.raises(CorruptFile, match=where):
            checkpoints.decode_leader_epochs(b"0\n2\n3 17\n", where)

    @pytest.mark.parametrize("where", ["a-0/partition.metadata", "b-1/partition.metadata"])
    def test_damaged_metadata_too(self, where):
        with pytest.raises(CorruptFile, match=where):
            PartitionMetadata.decode(b"version: 0\ntopic_id: nothing", where)
