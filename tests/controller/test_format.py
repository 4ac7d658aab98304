"""What a format writes, and what it refuses."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from kafka_py.controller.format import (
    FormatError,
    FormatPlan,
    bootstrap_records,
    format_directories,
    inspect,
    metadata_version_of,
    random_cluster_id,
    read_bootstrap,
)
from kafka_py.controller.snapshots import decode_snapshot
from kafka_py.protocol.records_metadata import FeatureLevelRecord, UserScramCredentialRecord
from kafka_py.protocol.types import uuid_from_text

CLUSTER = "nLegcSb5TsuNBs19tyTs6A"
NOW = 1_795_517_671_313

#: The records of the data batch in bootstrap.checkpoint as Kafka 4.3.1's storage tool writes it.
KAFKA_RECORDS = bytes.fromhex(
    "3a000000012e010c00116d657461646174612e76657273696f6e001e00005a000002014e010c0021"
    "656c696769626c652e6c65616465722e7265706c696361732e76657273696f6e0001000034000004"
    "0128010c000e67726f75702e76657273696f6e00010000340000060128010c000e73686172652e76"
    "657273696f6e0001000038000008012c010c001073747265616d732e76657273696f6e0001000040"
    "00000a0134010c00147472616e73616374696f6e2e76657273696f6e00020000"
)


def make(*log_dirs: Path, **fields: Any) -> list[str]:
    paths = [str(path) for path in log_dirs]
    values: dict[str, Any] = {
        "cluster_id": CLUSTER,
        "node_id": 1,
        "log_dirs": paths,
        "metadata_dir": paths[0],
    }
    plan = FormatPlan(**{**values, **fields})
    return list(format_directories(plan, random=random.Random(7), now_ms=NOW))


def test_bootstrap_checkpoint_is_kafkas_byte_for_byte(tmp_path: Path) -> None:
    make(tmp_path / "a", tmp_path / "b")
    data = (tmp_path / "a" / "bootstrap.checkpoint").read_bytes()
    assert data == (tmp_path / "b" / "bootstrap.checkpoint").read_bytes()
    assert len(data) == 411
    # Header, data and footer batches lie where Kafka's do; times and checksums differ.
    assert data[83 + 61 : 336] == KAFKA_RECORDS


def test_properties_of_each_directory(tmp_path: Path) -> None:
    assert make(tmp_path / "a", tmp_path / "b") == [str(tmp_path / "a"), str(tmp_path / "b")]
    found = inspect([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "c")])
    assert found.cluster_id == CLUSTER
    assert found.unformatted == (str(tmp_path / "c"),)
    ids = [uuid_from_text(p.directory_id or "") for p in found.directories.values()]
    assert len(set(ids)) == 2
    lines = (tmp_path / "a" / "meta.properties").read_text().splitlines()
    assert lines[0] == "#"
    assert [line.partition("=")[0] for line in lines[2:]] == [
        "node.id",
        "directory.id",
        "version",
        "cluster.id",
    ]


def test_a_dynamic_quorum_has_its_voters_in_the_first_snapshot(tmp_path: Path) -> None:
    make(tmp_path / "a", tmp_path / "b", voters={1: (None, ("127.0.0.1", 9093))})
    name = "00000000000000000000-0000000000.checkpoint"
    data = (tmp_path / "a" / "__cluster_metadata-0" / name).read_bytes()
    assert len(data) == 241
    snapshot = decode_snapshot(data, name)
    assert (snapshot.kraft_version, snapshot.records) == (1, [])
    own = inspect([str(tmp_path / "a")]).directories[str(tmp_path / "a")]
    assert snapshot.voters is not None
    assert dict(snapshot.voters.voters) == {1: uuid_from_text(own.directory_id or "")}
    assert snapshot.voters.endpoints == {1: ("127.0.0.1", 9093)}
    assert not (tmp_path / "b" / "__cluster_metadata-0").exists()


def test_what_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "a"
    make(place)
    with pytest.raises(FormatError, match=r"^Log directory .*/a is already formatted\. Use --ign"):
        make(place)
    assert make(place, ignore_formatted=True) == []
    other = random_cluster_id(random.Random(1))
    with pytest.raises(FormatError, match=f"Expected {other}, but read {CLUSTER}"):
        make(place, ignore_formatted=True, cluster_id=other)
    with pytest.raises(FormatError, match="doesn't match previous node id"):
        make(place, ignore_formatted=True, node_id=2)
    with pytest.raises(FormatError, match="does not appear to be a valid UUID"):
        make(tmp_path / "x", cluster_id="foo")
    with pytest.raises(FormatError, match="Unsupported feature: nope"):
        make(tmp_path / "x", features={"nope": 1})
    with pytest.raises(FormatError, match=r"No feature:group\.version with feature level 9"):
        make(tmp_path / "x", features={"group.version": 9})
    with pytest.raises(FormatError, match=r"depends on metadata\.version level 23"):
        make(
            tmp_path / "x",
            metadata_version=20,
            features={"eligible.leader.replicas.version": 1},
        )
    with pytest.raises(FormatError, match="not one of the initial controllers 2"):
        make(tmp_path / "x", voters={2: (b"d" * 16, ("h", 1))})
    assert not (tmp_path / "x").exists()


def test_directories_of_two_clusters(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", cluster_id=random_cluster_id(random.Random(1)))
    with pytest.raises(FormatError, match="belong to different clusters"):
        inspect([str(tmp_path / "a"), str(tmp_path / "b")])
    make(tmp_path / "c", node_id=2)
    with pytest.raises(FormatError, match="belong to different nodes"):
        inspect([str(tmp_path / "a"), str(tmp_path / "c")])


def test_release_versions_and_scram(tmp_path: Path) -> None:
    assert metadata_version_of("4.3-IV0") == metadata_version_of("4.3") == 30
    assert metadata_version_of("3.7") == 19
    assert metadata_version_of("7") == 7
    with pytest.raises(FormatError, match=r"Unknown metadata\.version '2\.8'"):
        metadata_version_of("2.8")
    user = UserScramCredentialRecord(
        name="u", mechanism=1, salt=b"s", stored_key=b"k", server_key=b"v", iterations=4096
    )
    make(tmp_path / "a", metadata_version=19, features={}, scram=[user])
    assert read_bootstrap(str(tmp_path / "a")) == [
        FeatureLevelRecord(name="metadata.version", feature_level=19),
        user,
    ]
    assert read_bootstrap(str(tmp_path)) == [
        FeatureLevelRecord(name="metadata.version", feature_level=30)
    ]


def test_cluster_ids_never_begin_with_a_dash() -> None:
    chance = random.Random(2)
    ids = {random_cluster_id(chance) for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(text) == 22 and text[0] != "-" for text in ids)


def test_a_file_is_no_formatted_directory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert inspect([str(tmp_path / "a")]).unformatted == (str(tmp_path / "a"),)
    with pytest.raises(FileExistsError):
        make(tmp_path / "a")


@pytest.mark.parametrize("version", ["3.7", "4.0", "4.3"])
def test_the_records_of_a_plan_are_those_of_its_file(tmp_path: Path, version: str) -> None:
    """A start that has formatted its directory does not read the file."""
    plan = FormatPlan(
        cluster_id=random_cluster_id(random.Random(1)),
        node_id=1,
        log_dirs=[str(tmp_path / "a")],
        metadata_dir=str(tmp_path / "a"),
        metadata_version=metadata_version_of(version),
    )
    format_directories(plan, random=random.Random(3), now_ms=1_700_000_000_000)
    assert bootstrap_records(plan) == read_bootstrap(str(tmp_path / "a")) != []
