"""New groups among strange hits: one, two, or none where each is strange for itself."""

import io
import subprocess
import sys

import numpy as np
import pytest

from sorter.cluster.base import usual_distance
from sorter.cluster.strange import new_groups, new_groups_apart

RNG = np.random.default_rng(0)
KNOWN = RNG.normal(size=(600, 8))
USUAL = usual_distance(KNOWN, KNOWN, 10)


def blob(n, at):
    return RNG.normal(size=(n, 8)) + at


@pytest.mark.parametrize("centres", [(20,), (20, -30)])
def test_groups(centres):
    points = np.concatenate([*(blob(60, c) for c in centres), RNG.uniform(-300, 300, (40, 8))])
    found = new_groups(points, 15, USUAL)
    kind = np.repeat(np.arange(len(centres)), 60)
    assert len(found.persistence) == len(centres) and (found.labels[len(kind) :] == -1).all()
    for c in range(len(centres)):
        members = found.labels[: len(kind)][kind == c]
        assert (members == np.bincount(members[members >= 0]).argmax()).mean() > 0.7


def test_what_is_strange_each_for_itself_is_no_group():
    found = new_groups(RNG.uniform(-300, 300, (500, 8)), 15, USUAL)
    assert not len(found.persistence) and (found.labels == -1).all() and (found.strength == 0).all()


@pytest.mark.parametrize("n", [0, 1, 14])
def test_too_few(n):
    assert not len(new_groups(blob(n, 20), 15, USUAL).persistence)


def test_a_process_of_its_own_finds_the_same():
    points = np.concatenate([blob(60, 20), blob(60, -30), RNG.uniform(-300, 300, (40, 8))])
    here, there = new_groups(points, 15, USUAL), new_groups_apart(points, 15, USUAL)
    for name in ("labels", "strength", "tree", "persistence"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_the_other_process_is_silent_when_nobody_wants_its_answer():
    given = io.BytesIO()
    np.savez(given, points=blob(60, 20), fewest=15, usual_distance=USUAL)
    command = [sys.executable, "-m", "sorter.cluster.strange"]
    asked = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    asked.stdout.close()
    assert asked.communicate(given.getvalue())[1] == b"" and asked.returncode == 0
