"""A resumed training equals the one that was never interrupted."""
import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from mmvision_ext.engine.exact_resume import (
    PlacedBatches,
    Sample,
    SeededItems,
    seed_all,
)
from mmvision_ext.torture.resume import INTERVAL, find_differences


class Loop:
    epoch = 3


def draw():
    return (random.random(), float(np.random.rand()), torch.rand(1).item())


def test_seeds_follow_from_the_key_alone():
    seed_all(7, 0, 0, 12)
    first = draw()
    seed_all(7, 0, 0, 13)
    assert all(a != b for a, b in zip(draw(), first))
    seed_all(7, 0, 0, 12, this_process_only=True)
    assert draw() == first
    # a step and a sample of equal numbers have streams of their own
    seed_all(7, 0, 1, 12)
    assert all(a != b for a, b in zip(draw(), first))


def test_batches_know_their_place_and_skip_what_was_done():
    batches = torch.utils.data.BatchSampler(range(5), 2, drop_last=False)
    placed = PlacedBatches(batches, Loop, endless=False)
    assert [list(b) for b in placed] == [[0, 1], [2, 3], [4]]
    assert [s.place for b in placed for s in b] == [(3, n) for n in range(5)]
    assert len(placed) == 3
    assert placed.batch_size == 2
    endless = iter(PlacedBatches(batches, Loop, endless=True, skip=4))
    batch = next(endless)
    assert batch == [2, 3]
    assert [s.place for s in batch] == [(1, 2), (1, 3)]
    assert [s.place for s in next(endless)] == [(1, 4)]
    assert [s.place for s in next(endless)] == [(2, 0), (2, 1)]


def test_a_skip_happens_once():
    batches = torch.utils.data.BatchSampler(range(4), 2, drop_last=False)
    placed = PlacedBatches(batches, Loop, endless=False, skip=1)
    assert list(placed) == [[2, 3]]
    assert list(placed) == [[0, 1], [2, 3]]


class Random:
    """A dataset that is random itself."""

    def __getitem__(self, index):
        return index, torch.rand(1).item(), np.random.rand()


def test_samples_are_the_same_whatever_came_before():
    fetch = SeededItems(Random(), seed=5, rank=0)
    samples = [Sample(i) for i in (4, 9, 4)]
    for number, sample in enumerate(samples):
        sample.place = 0, number
    together = fetch(samples)
    torch.rand(3)
    assert fetch(samples[1:2]) == together[1:2]
    # the same image drawn twice is augmented in two ways
    assert together[0][1] != together[2][1]
    other_rank = SeededItems(Random(), seed=5, rank=1)(samples)
    assert other_rank[0][1] != together[0][1]


def test_differences_are_found():
    one = dict(a=[torch.ones(2), 1], b=dict(c='x'))
    two = dict(a=[torch.ones(2), 1], b=dict(c='x'))
    assert find_differences(one, two) == []
    two['a'][0][1] += 2**-20
    two['b']['c'] = 'y'
    assert sorted(find_differences(one, two)) == [
        '.a.0: up to 9.54e-07 apart', '.b.c: x and y']
    assert find_differences(dict(a=1), dict(b=1)) == [": ['a', 'b']"]


# The children are forks: of a process that holds little, not of one in which
# hundreds of tests have run.
ALONE = """
import json, sys
from pathlib import Path
from mmvision_ext.engine import exact_resume
from mmvision_ext.torture import resume
name, folder, moments, seeded = json.loads(sys.argv[1])
drawn = iter(moments)
resume._draw = lambda case, rng: resume.Moment(*next(drawn))
if not seeded:
    exact_resume.seed_all = lambda *key, **kwargs: None
resume._import_packages()
outcome = resume.torture(resume.CASES[name], Path(folder), len(moments), 3)
print(json.dumps([outcome.unequal, outcome.kills.total(), outcome.runs,
                  outcome.lost]))
"""


def torture_alone(name, folder, moments, seeded=True):
    done = subprocess.run(
        [sys.executable, '-c', ALONE,
         json.dumps([name, str(folder), moments, seeded])],
        capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('name, moments', [
    # EMA, whole epochs, killed in a validation that is then made up for
    ('vheat-classification', [('validation', 1), ('draft', 2)]),
    # workers, an instance mask head with its sampling, by iterations
    ('vheat-detection', [('pointer', 1), ('step', 3)]),
    ('vheat-segmentation', [('load', 2), ('rename', 2)]),
    ('itpn-pretraining', [('draft', 1), ('step', 2)]),
])
def test_killed_training_equals_the_whole_one(name, moments, tmp_path):
    unequal, kills, runs, lost = torture_alone(name, tmp_path, moments)
    assert unequal == []
    assert kills == len(moments)
    assert runs == 1
    assert lost <= INTERVAL
    assert not list(tmp_path.rglob('*.part'))


def test_without_the_seeds_it_does_not(tmp_path):
    """The test above can fail."""
    unequal, *_ = torture_alone(
        'vheat-classification', tmp_path, [('step', 5)], seeded=False)
    assert any('state_dict' in line for line in unequal)
