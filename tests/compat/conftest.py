"""What the tests of the environment share."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmvision_ext.compat import setup

setup()


@pytest.fixture
def run_python(repo_root):
    """Run Python in a fresh process; returns the finished process."""

    def run(*args, path=(), **env):
        paths = [str(p) for p in (*path, repo_root)]
        return subprocess.run(
            [sys.executable, *map(str, args)],
            env={
                **os.environ, 'PYTHONPATH': os.pathsep.join(paths),
                'PYTHONWARNINGS': 'ignore',
                **env
            },
            capture_output=True,
            text=True,
            timeout=300)

    return run


@pytest.fixture
def fake_distribution(tmp_path):
    """Make a folder in which pip's metadata claims a distribution."""

    def make(name, version):
        folder = tmp_path / 'fake-site'
        info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        return folder

    return make


@pytest.fixture
def tiny_runner(tmp_path):
    """Make a runner of a two-layer model on four samples."""
    pytest.importorskip('mmengine')
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class TinyModel(BaseModel):

        def __init__(self, init_cfg=None):
            super().__init__(init_cfg=init_cfg)
            self.linear = nn.Linear(3, 2)
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x, mode='tensor'):
            x = torch.stack(x) if isinstance(x, (list, tuple)) else x
            return dict(loss=(self.norm(self.linear(x)) - 1).pow(2).mean())

    count = 0

    def make(epochs=1, init_cfg=None, **kwargs):
        nonlocal count
        count += 1
        settings = dict(
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01)),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=[dict(x=torch.rand(3)) for _ in range(4)]),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            work_dir=str(Path(tmp_path) / 'work'),
            experiment_name=f'{tmp_path.name}-{count}')
        return Runner(
            model=TinyModel(init_cfg=init_cfg), **{
                **settings,
                **kwargs
            })

    return make
