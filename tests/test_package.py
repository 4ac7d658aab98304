"""Importing the server: the program's garbage collector is left as it was."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc
{before}
frozen = gc.get_freeze_count()
threshold, enabled, passes = gc.get_threshold(), gc.isenabled(), gc.get_stats()
import kafka_py
kafka_py.Broker
assert gc.isenabled() is enabled
assert gc.get_threshold() == threshold
assert (gc.get_freeze_count() > 0) is (frozen > 0)
looked = [now["collections"] - then["collections"] for now, then in zip(gc.get_stats(), passes)]
assert looked[2] == 0 and sum(looked) < 20, looked
assert kafka_py.Broker.__module__ == "kafka_py.server.broker"
"""


@pytest.mark.parametrize("before", ["", "gc.disable()", "gc.freeze()"])
def test_the_collector_is_as_before(before: str) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT.format(before=before)], check=True)


def test_a_failed_import_leaves_it_on() -> None:
    script = """
import gc, sys
sys.modules["kafka_py.server.broker"] = None
import kafka_py
try:
    kafka_py.Broker
except ImportError:
    assert gc.isenabled()
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True)
