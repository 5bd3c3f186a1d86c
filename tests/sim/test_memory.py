"""Freed memory stays with the process where the C library can do that, and nothing happens elsewhere."""

import ctypes
import subprocess
import sys

from sim import memory

FAULTS = """
import resource, torch
from sim.memory import keep_freed_memory
known = keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(20):
        torch.ones(4 << 20) + 1
work()
before = faults()
work()
print(int(known), faults() - before)
"""


def test_arrays_that_come_and_go_touch_no_new_pages():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    known, faults = map(int, done.stdout.split())
    # 40 arrays of 16 MB: 160,000 pages where each is new
    assert not known or faults < 20_000


def test_other_systems_are_left_alone(monkeypatch):
    class Other:
        """A C library without mallopt."""

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Other())
    assert not memory.keep_freed_memory()

    def none(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert not memory.keep_freed_memory()
