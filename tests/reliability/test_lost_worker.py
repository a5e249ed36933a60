"""A loader whose worker is killed ends the tool with one line."""
import argparse
import os
import signal

import torch

from mmvision_ext.engine.launch import _guard


class Killed(torch.utils.data.Dataset):
    """Its third sample kills the process that loads it."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_worker_is_one_line(capfd, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    seen = []

    def body(args):
        seen.extend(torch.utils.data.DataLoader(Killed(), num_workers=1))

    assert _guard('train.py', body, argparse.Namespace(local_rank=0)) == 2
    assert len(seen) <= 2
    assert capfd.readouterr().err.splitlines()[-1] == (
        'train.py: a worker that loads data was killed or has crashed, often '
        'for want of memory: lower num_workers or the batch size, or give '
        'more (shared) memory, then go on with --resume auto')
