"""Scripted quorums: each file in `scripts/` is commands and, below `----`, the whole transcript.

Rewrite the transcripts with `pytest tests/controller --rewrite` and review them as a diff.

    run MS          let that much virtual time pass
    campaign N      node N's timer expires now
    propose TEXT    the leader appends a record
    crash N         power cut: what was not flushed is gone
    restart N       power on again
    cut N ...       cut these nodes off from the others
    oneway A B      messages from A to B are lost
    heal            mend all links
    snapshot N      node N makes a snapshot and trims its log
    resign          the leader shuts down in good order
    trace on|off    print the messages as they are sent
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kafka_py.controller.settings import ControllerSettings

_PATH = Path(__file__).with_name("raft_sim.py")
_SPEC = importlib.util.spec_from_file_location("raft_sim", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
raft_sim = sys.modules.setdefault("raft_sim", importlib.util.module_from_spec(_SPEC))
if not hasattr(raft_sim, "RaftSim"):
    _SPEC.loader.exec_module(raft_sim)

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.txt"))


class Player:
    """Runs one script."""

    def __init__(self) -> None:
        self.sim: Any = None

    def play(self, command: str) -> str:
        """The transcript of one command."""
        verb, *words = command.split()
        if verb == "nodes":
            settings = ControllerSettings(fetch_max_bytes=2000)
            self.sim = raft_sim.RaftSim(1, voters=int(words[0]), delay_ms=(5, 5), settings=settings)
            return self.state()
        self.sim.lines.clear()
        getattr(self, f"do_{verb}")(*words)
        self.sim.check()
        return "\n".join([*self.sim.lines, self.state()])

    def do_run(self, duration_ms: str) -> None:
        self.sim.run(int(duration_ms))

    def do_campaign(self, node: str) -> None:
        self.sim.expire(int(node))
        self.sim.run(40)

    def do_propose(self, value: str) -> None:
        self.sim.propose(value.encode())
        self.sim.run(40)

    def do_crash(self, node: str) -> None:
        self.sim.crash(int(node))

    def do_restart(self, node: str) -> None:
        self.sim.restart(int(node))
        self.sim.run(20)

    def do_cut(self, *nodes: str) -> None:
        self.sim.partition({int(node) for node in nodes})

    def do_oneway(self, source: str, target: str) -> None:
        self.sim.blocked.add((int(source), int(target)))

    def do_heal(self) -> None:
        self.sim.heal()

    def do_snapshot(self, node: str) -> None:
        self.sim.snapshot(int(node))

    def do_resign(self) -> None:
        host = self.sim.leader()
        host.replica.resign(self.sim.now_ms)
        self.sim.drain(host)
        self.sim.run(40)

    def do_trace(self, how: str) -> None:
        self.sim.tracing = how == "on"

    def state(self) -> str:
        """One line a node."""
        rows = []
        for node, host in self.sim.hosts.items():
            replica = host.replica
            saved = host.store.read_quorum_state()
            rows.append(
                f"{node} {'' if host.alive else 'dead, was '}{replica.state.value:<11} "
                f"epoch={replica.epoch} leader={replica.leader_id} "
                f"log={host.store.start_offset}..{host.store.end_offset} "
                f"hw={replica.high_watermark} "
                f"saved=({saved.epoch}, {saved.leader_id}, {saved.voted_id})"
            )
        return "\n".join(rows)


def transcript(text: str) -> str:
    """A script with the transcript that it leads to now; comments stay."""
    player = Player()
    out: list[str] = []
    skipping = False
    for line in text.splitlines():
        if skipping:
            skipping = bool(line.strip())
            continue
        if not line.strip() or line.startswith("#"):
            out.append(line)
        elif line == "----":
            skipping = True
        else:
            out += [line, "----", player.play(line), ""]
    return re.sub(r"\n\n\n+", "\n\n", "\n".join(out)).rstrip() + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    now = transcript(text)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == text


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 6
