"""The files that we write, seen by Apache's own tools and beside the files that it writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.oracle import apache, workload
from tests.oracle.conftest import Pair
from tests.oracle.raw import Recorder


class Written:
    """Both data directories after the same workload and a clean stop; the nodes run again."""

    def __init__(self, pair: Pair, copies: Path) -> None:
        """Runs the workload on both and stops them, so that all files are closed and copied."""
        self.sent = []
        self.read = []
        for node in (pair.apache, pair.ours):
            recorder = Recorder(node.port, pair.first_timestamp)
            self.sent.append(workload.run(recorder))
            self.read.append(workload.read_all(recorder))
            recorder.close()
            node.stop()
        self.data = [copies / "apache", copies / "ours"]
        for node, copy in zip((pair.apache, pair.ours), self.data, strict=True):
            shutil.copytree(node.data, copy)
        self.files = [self._collect(copy) for copy in self.data]

    @staticmethod
    def _collect(data: Path) -> dict[str, bytes]:
        """Path within the data directory -> bytes, of all partitions of the workload."""
        folders = [f for f in data.iterdir() if f.name.startswith("w-")]
        return {
            str(f.relative_to(data)): f.read_bytes() for folder in folders for f in folder.iterdir()
        }

    def of(self, suffix: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """(Apache's, ours) with that suffix, but for topics whose bytes cannot be equal."""
        theirs, ours = (
            {
                name: data
                for name, data in files.items()
                if name.endswith(suffix) and name.split("/")[0][:-2] not in workload.UNEQUAL_BYTES
            }
            for files in self.files
        )
        return theirs, ours


@pytest.fixture(scope="module")
def written(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The workload, run once; both brokers are started again for whoever comes next."""
    found = Written(pair, tmp_path_factory.mktemp("written"))
    for node in (pair.apache, pair.ours):
        node.start()
    return found


def test_same_answers_to_the_workload(written: Written) -> None:
    """Equal requests got equal offsets."""
    theirs, ours = written.sent
    assert len(theirs) > 300
    assert theirs == ours


def test_same_bytes_are_served(written: Written) -> None:
    """What a fetch gives is equal to the last bit, leader epochs and offsets included."""
    theirs, ours = written.read
    for where in theirs:
        if where[0] not in workload.UNEQUAL_BYTES:
            assert theirs[where] == ours[where], where
        assert workload.batch_bounds(theirs[where]) == workload.batch_bounds(ours[where]), where


@pytest.mark.parametrize("suffix", [".log", ".index", ".timeindex", ".txnindex"])
def test_same_segment_files(suffix: str, written: Written) -> None:
    """The same names, the same bytes, all segments of all partitions."""
    theirs, ours = written.of(suffix)
    assert sorted(theirs) == sorted(ours)
    if suffix != ".txnindex":
        assert len(theirs) >= 8
    for name, data in theirs.items():
        assert ours[name] == data, f"{name}: {len(data)} and {len(ours[name])} bytes"


def test_same_leader_epochs(written: Written) -> None:
    """leader-epoch-checkpoint, to the letter."""
    theirs, ours = written.of("leader-epoch-checkpoint")
    assert theirs
    assert theirs == ours


def test_same_partition_metadata(written: Written) -> None:
    """partition.metadata, but for the topic's id."""
    hide = re.compile(rb"topic_id: \S{22}")
    masked = [
        {name: hide.sub(b"topic_id: <id>", data) for name, data in files.items()}
        for files in written.of("partition.metadata")
    ]
    assert masked[0]
    assert masked[0] == masked[1]


def test_same_snapshot_files(written: Written) -> None:
    """Producer snapshots: the same offsets, the same bytes."""
    theirs, ours = written.of(".snapshot")
    assert theirs
    assert theirs == ours


def test_same_directory_files(written: Written) -> None:
    """The files beside the partitions: the same names, but for the log cleaner's, which comes with
    compaction."""
    ignored = {".lock", "cleaner-offset-checkpoint"}
    known = [{f.name for f in data.iterdir() if f.is_file()} for data in written.data]
    assert known[0] - ignored == known[1] - ignored


def _logs(data: Path, suffix: str) -> list[Path]:
    return sorted(f for f in data.glob(f"w-*/*{suffix}") if f.is_file())


def dump(*args: object) -> str:
    """DumpLogSegments without a complaint: what it printed."""
    ran = apache.tools.run("dump-log", *args)
    # It complains about every segment that does not begin at offset 0, Apache's own too.
    text = re.sub(
        r"Non-consecutive offsets in \S+\n(  -1 is followed by \d+\n)+", "", ran.out + ran.err
    )
    assert ran.exit == 0, text[-3000:]
    for complaint in (
        "Found",
        "Mismatch",
        "mismatch",
        "Exception",
        "ERROR",
        "isvalid: false",
        "corrupt",
        "Could not",
        "Non-consecutive",
        "out of order",
    ):
        assert complaint not in text, text[:200] + "\n...\n" + text[-3000:]
    return ran.out


def test_dump_log_segments_of_ours(written: Written) -> None:
    """Every log deep-iterated, every record decompressed; all that was sent is printed."""
    data = written.data[1]
    files = _logs(data, ".log")
    assert len(files) >= 11
    text = dump("--deep-iteration", "--files", ",".join(map(str, files)))
    records = len(re.findall(r"^\| offset: \d+ ", text, re.MULTILINE))
    assert records == sum(int.from_bytes(s.data[57:61], "big") for s in written.sent[1])
    for codec in ("NONE", "GZIP", "SNAPPY", "LZ4", "ZSTD"):
        assert f"compresscodec: {codec.lower()}" in text.lower()


@pytest.mark.parametrize("mode", ["--index-sanity-check", "--verify-index-only"])
def test_dump_indexes_of_ours(mode: str, written: Written) -> None:
    """Offset and time indexes are found sane, and agree with their logs."""
    data = written.data[1]
    files = _logs(data, ".index") + _logs(data, ".timeindex") + _logs(data, ".txnindex")
    assert len(files) >= 22
    text = dump(mode, "--files", ",".join(map(str, files)))
    if mode == "--index-sanity-check":
        assert text.count("passed sanity check") >= len(_logs(data, ".index"))


def test_dump_snapshots_of_ours(written: Written) -> None:
    """Producer snapshots are read: both producers, epochs and last sequences."""
    files = [f for f in _logs(written.data[1], ".snapshot") if "w-idem" in str(f)]
    assert files
    text = dump("--files", ",".join(map(str, files)))
    assert re.search(r"producerId: 900 producerEpoch: 1 ", text)
    assert re.search(r"producerId: 901 producerEpoch: 0 ", text)
    assert "lastSequence: 59" in text


def test_metadata_log_of_ours(written: Written) -> None:
    """--cluster-metadata-decoder reads our metadata log (and snapshots): what was done is there."""
    folder = written.data[1] / "__cluster_metadata-0"
    logs = sorted(folder.glob("*.log"))
    assert logs
    text = dump("--cluster-metadata-decoder", "--files", ",".join(map(str, logs)))
    for kind in (
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
        "FEATURE_LEVEL_RECORD",
    ):
        assert f'"type":"{kind}"' in text, kind
    assert '"name":"w-codecs"' in text
    for snapshot in sorted(folder.glob("*.checkpoint")):
        text = dump("--cluster-metadata-decoder", "--files", snapshot)
        assert "SnapshotHeader" in text
        assert "SnapshotFooter" in text


def test_no_log_complains_at_apache_reading_indexes(written: Written) -> None:
    """The time index of ours is as Apache's: the same entries printed."""
    prints = []
    for data in written.data:
        files = [f for f in _logs(data, ".timeindex") if "w-rolls" in str(f)]
        text = dump("--files", ",".join(map(str, files)))
        prints.append(text.replace(str(data), "DATA"))
    assert "timestamp:" in prints[0]
    assert prints[0] == prints[1]
