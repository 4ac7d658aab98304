"""A few power cuts in the fast suite, where the machine allows them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.image import SHM, Disk, ImageFailed, missing
from tests.crash.kill import PROPERTIES
from tests.crash.moving import MovingLoad
from tests.crash.power import PowerRun
from tests.oracle import apache


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk whose power can be cut; skips where there is no root or no loop device."""
    absent = missing()
    if absent:
        pytest.skip(absent)
    try:
        made = Disk(Path(tempfile.mkdtemp(prefix="kafka-py-power-", dir=SHM)))
    except ImageFailed as e:
        pytest.skip(f"no loop mounts here: {e}")
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_five_cuts(disk: Disk, tmp_path: Path) -> None:
    """What acks=all acknowledged before the cut is on the disk after it."""
    settings = {**PROPERTIES, "log.dirs": str(disk.mount_point / "data")}
    run = PowerRun(apache.node_under_test(tmp_path / "node", settings), disk, 77)
    try:
        run.run(5)
    finally:
        run.node.kill()
    assert run.faults["cut"] >= 5
    assert run.faults["cut_with_batches_in_flight"] > 0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_five_cuts_while_partitions_move(disk: Disk, tmp_path: Path) -> None:
    """The same, with every partition on its way from one log directory to another and back."""
    paths = ",".join(str(disk.mount_point / name) for name in ("one", "two"))
    run = PowerRun(
        apache.node_under_test(tmp_path / "node", {**PROPERTIES, "log.dirs": paths}), disk, 78
    )
    try:
        run.run(5)
    finally:
        run.node.kill()
    assert isinstance(run.load, MovingLoad)
    assert run.load.moves_asked > 10
