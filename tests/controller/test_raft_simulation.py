"""Hundreds of seeds of a quorum under faults, its invariants checked after every event (R7)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from random import Random

import pytest

from kafka_py.controller.settings import ControllerSettings

_PATH = Path(__file__).with_name("raft_sim.py")
_SPEC = importlib.util.spec_from_file_location("raft_sim", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
raft_sim = sys.modules.setdefault("raft_sim", importlib.util.module_from_spec(_SPEC))
if not hasattr(raft_sim, "RaftSim"):
    _SPEC.loader.exec_module(raft_sim)
RaftSim = raft_sim.RaftSim

#: Short timeouts, so that a second of virtual time holds several elections.
SETTINGS = ControllerSettings(
    election_timeout_ms=150,
    election_backoff_max_ms=150,
    fetch_timeout_ms=300,
    request_timeout_ms=300,
    fetch_max_bytes=2000,
)

SEEDS = 120
FAULT_MS = 8_000
LIVENESS_MS = 10_000


def misbehave(sim: RaftSim, chance: Random) -> None:
    """One random thing: a proposal, or a fault."""
    nodes = sorted(sim.hosts)
    dice = chance.random()
    if dice < 0.6:
        sim.propose(b"value %d" % chance.randrange(1 << 30))
    elif dice < 0.68:
        node = chance.choice(nodes)
        if sim.hosts[node].alive:
            sim.crash(node)
    elif dice < 0.80:
        for node in nodes:
            if not sim.hosts[node].alive and chance.random() < 0.7:
                sim.restart(node)
    elif dice < 0.87:
        sim.partition(set(chance.sample(nodes, chance.randint(1, len(nodes) - 1))))
    elif dice < 0.93:
        sim.heal()
    elif dice < 0.96:
        a, b = chance.sample(nodes, 2)
        sim.blocked.add((a, b))  # one way only
    else:
        sim.snapshot(chance.choice(nodes))


def run_seed(seed: int) -> RaftSim:
    """Faults, then a healed network in which everything must converge."""
    chance = Random(seed * 7919)
    quiet = chance.random() < 0.25
    sim = RaftSim(
        seed,
        voters=chance.choice((3, 3, 4, 5)),
        observers=chance.choice((0, 0, 1)),
        loss=0.0 if quiet else chance.choice((0.0, 0.02, 0.1, 0.2)),
        duplicate=0.0 if quiet else chance.choice((0.0, 0.05)),
        delay_ms=chance.choice(((0, 3), (1, 20), (1, 100))),
        settings=SETTINGS,
    )
    while sim.now_ms < FAULT_MS:
        sim.run(chance.randint(1, 120))
        misbehave(sim, chance)
        sim.check()
    sim.heal()
    sim.loss = sim.duplicate = 0.0
    sim.delay_ms = (1, 10)
    for node in sorted(sim.hosts):
        if not sim.hosts[node].alive:
            sim.restart(node)
    end = sim.now_ms + LIVENESS_MS
    while sim.now_ms < end:
        sim.run(1000)
        if sim.leader() is not None and sim.propose(b"last") is not None:
            sim.run(2000)
            leader = sim.leader()
            if leader is not None and leader.replica.high_watermark == leader.store.end_offset:
                break
    sim.run(2000)
    sim.check_converged()
    return sim


@pytest.mark.parametrize("block", range(6))
def test_no_seed_breaks_an_invariant(block: int) -> None:
    size = SEEDS // 6
    for seed in range(block * size, (block + 1) * size):
        try:
            run_seed(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_the_simulation_repeats_itself() -> None:
    first, again = run_seed(3), run_seed(3)
    assert first.committed == again.committed
    assert first.leaders == again.leaders


def test_the_faults_do_something() -> None:
    sims = [run_seed(seed) for seed in range(20)]
    assert sum(len(sim.leaders) for sim in sims) > 40
    assert all(len(sim.committed) > 3 for sim in sims)
    assert any(host.store.start_offset > 0 for sim in sims for host in sim.hosts.values())
